"""The description is OpenAPI, by openapi-spec-validator, and each door's names its own routes only.

That it is true, `tests/chaos/hostile/schema.py` asks by schemathesis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.sink_process import sink


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    with short_folder() as folder, sink(folder / "sink") as provider, daemon(folder) as made:
        boxes = ["ana@acme.example; caps = [{ limit = 50, per = 'day' }]", "ben@acme.example"]
        tail = '[[path]]\nname = "out"\ntiers = [["ana@acme.example"]]\n'
        made.write("workspaces/acme.toml", workspace(provider.port, *boxes, tail=tail))
        made.start()
        made.door.send(to("kim@there.example"))
        yield made


def test_both_descriptions_are_openapi(running: Daemon) -> None:
    for door in (running.door, running.shim(running.token())):
        described: dict[str, Any] = door.get("/openapi.json")
        assert described["openapi"].startswith("3.1")
        validate(described)


def test_the_shims_description_names_no_route_of_the_operator(running: Daemon) -> None:
    shim = running.shim(running.token()).get("/openapi.json")["paths"]
    operator = running.door.get("/openapi.json")["paths"]
    assert shim.keys() < operator.keys()
    assert not [path for path in shim if re.search("pause|token|audit|resolve|stream", path)]
