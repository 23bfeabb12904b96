"""Alembic's migrations; `app.store.migrate` runs them."""
