"""`/docs`: the OpenAPI document as one page that loads nothing from anywhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{overflow:auto;padding:.6rem;border:1px solid #8884;border-radius:.4rem}
h2{margin-top:2.5rem;border-bottom:1px solid #8884}details{margin:.4rem 0}summary{cursor:pointer}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
.verb{display:inline-block;min-width:4.5rem;font-weight:600}.get{color:#2a7}.post{color:#27c}.put,.patch{color:#b70}.delete{color:#c33}
"""


@router.get("/docs")
def show_reference(request: Request) -> HTMLResponse:
    """Show the document; the page works without the internet and runs no script."""
    page = render(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def render(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI 3.1 document."""
    info = document["info"]
    body = "\n".join([*_sections(document), *_schemas(document)])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}'
        f"</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"<p>{_prose(info.get('description', ''))}</p>"
        '<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>'
        f"{body}</body></html>"
    )


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(verb, path, operation))
    for tag, operations in by_tag.items():
        yield f'<h2 id="{escape(tag)}">{escape(tag.capitalize())}</h2>'
        yield from operations


def _operation(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(_parameter(one) for one in operation.get("parameters", ()))
    parameters = f"<h4>Parameters</h4><table>{rows}</table>" if rows else ""
    request = operation.get("requestBody", {}).get("content", {})
    body = f"<h4>Body</h4><p>{_content(request)}</p>" if request else ""
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer.get('description', ''))}"
        f"</td><td>{_content(answer.get('content', {}))}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="verb {verb}">'
        f"{verb.upper()}</span> <code>{escape(path)}</code> – {escape(operation['summary'])}"
        f"</summary><p>{_prose(operation.get('description', ''))}</p>"
        f"{parameters}{body}<h4>Answers</h4><table>{answers}</table></details>"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = "" if parameter.get("required") else " <small>optional</small>"
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code>{needed}</td><td>{parameter['in']}</td>"
        f"<td>{_type(parameter.get('schema', {}))}</td>"
        f"<td>{_prose(parameter.get('description', ''))}</td></tr>"
    )


def _content(content: Mapping[str, Any]) -> str:
    return "<br>".join(
        f"<code>{escape(media)}</code> {_type(one.get('schema', {}))}"
        for media, one in content.items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words, with links to what it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " | ".join(_type(one) for one in choices)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return escape(" | ".join(json.dumps(value) for value in values))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "any")))


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Schemas</h2>"
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        required = schema.get("required", ())
        rows = "".join(
            f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' <small>optional</small>'}"
            f"</td><td>{_type(one)}</td><td>{_prose(one.get('description', ''))}</td></tr>"
            for field, one in schema.get("properties", {}).items()
        )
        yield (
            f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
            f"<p>{_prose(schema.get('description', ''))}</p><table>{rows}</table>"
            f"<details><summary>JSON Schema</summary><pre>{escape(json.dumps(schema, indent=2))}"
            "</pre></details></details>"
        )


def _prose(text: str) -> str:
    """Return text with its line breaks and its `code`."""
    parts = escape(text).split("`")
    marked = "".join(
        f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)
    )
    return marked.replace("\n", "<br>")
