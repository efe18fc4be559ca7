"""Tests of the data share the directory where archives lie that were fetched by hand."""

import pytest


@pytest.fixture
def manual(tmp_path):
    folder = tmp_path / "downloads" / "manual"
    folder.mkdir(parents=True)
    return folder
