"""What the README promises to other programs: any Chroma client finds the collections in a copy of the store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from deepdupe_daemon.index.collection import collection_metadata, differences
from tests.index.filling import CLIP, PDQ, digest_of, expected

# Ten lines; the first is the only one that a reader adapts.
EXAMPLE = """\
import chromadb

STORE = "/tmp/copy-of-chroma"  # cp -r ~/.local/state/deepdupe-daemon/chroma /tmp/copy-of-chroma
client = chromadb.PersistentClient(STORE)
found = [client.get_collection(c.name, embedding_function=None) for c in client.list_collections()]
newest = {c.metadata["space"]: c for c in sorted(found, key=lambda c: c.metadata["generation"])}
collection = newest["clip-vit-b-32.final"]
some = collection.get(limit=1, include=["embeddings", "metadatas"])
near = collection.query(query_embeddings=some["embeddings"], n_results=3, include=["distances", "metadatas"])
for row_id, distance, facts in zip(near["ids"][0], near["distances"][0], near["metadatas"][0]):
    print(row_id, round(1 - distance, 4), facts["width"], facts["height"], facts["format"])
"""


def test_the_example_of_the_readme_runs_on_a_copy(filled_state: Path, tmp_path: Path) -> None:
    shutil.copytree(filled_state / "chroma", tmp_path / "copy")
    code = EXAMPLE.replace('"/tmp/copy-of-chroma"', json.dumps(str(tmp_path / "copy")))
    code += (
        'import json; print(json.dumps([dict(collection.metadata), some["embeddings"][0].tolist(), some["ids"][0]]))\n'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    *lines, told = done.stdout.splitlines()
    metadata, row, row_id = json.loads(told)
    assert len(lines) == 3
    assert lines[0] == f"{row_id} 1.0 4000 3000 JPEG"
    assert metadata == {
        "space": "clip-vit-b-32.final",
        "model": "clip-vit-b-32",
        "embedding": "final",
        "dim": 64,
        "weights": "laion2b",
        "weights_digest": "ab" * 32,
        "preprocessing": "",
        "fingerprint": CLIP.fingerprint(),
        "schema": 1,
        "generation": 0,
        "normalised": True,
        "written_by": "deepdupe-daemon",
    }
    wanted = expected(range(40, 700), CLIP)
    assert np.allclose(row, wanted[row_id], atol=1e-6)
    assert row_id in {digest_of(n).hex()[:32] for n in range(40, 700)}


def test_the_readme_has_the_example_that_runs(project_root: Path) -> None:
    readme = (project_root / "README.md").read_text()
    assert ("chromadb.PersistentClient" in readme) == (EXAMPLE in readme), "the README shows another example"


def test_a_collection_is_known_by_what_decides_and_not_by_labels() -> None:
    """The same weights by a tag and by a path; a fingerprint that an earlier version made. PDQ has no digest."""
    wanted = collection_metadata(CLIP, 0)
    assert differences({**wanted, "weights": "sha256:abababababab", "fingerprint": "earlier"}, wanted) == []
    assert differences({**wanted, "preprocessing": "{}"}, wanted) == ["preprocessing is '{}', not ''"]
    assert differences({**collection_metadata(PDQ, 0), "weights": "some"}, collection_metadata(PDQ, 0)) != []
