"""The command line `cultivar`."""
