"""A database to import into."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.database import connect


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = connect(database_url, application="tests", pool_size=4)
    yield opened
    opened.dispose()
