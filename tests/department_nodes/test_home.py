"""The node's folder: keys that others cannot read, officers' keys elsewhere, one schema, one program hash."""

import shutil
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from region import Region
from sqlalchemy import text

from crypto.errors import DoudiError
from department_nodes.enrolment import create_node
from department_nodes.home import APPROVAL_KEY, OFFICER_KEYS_VARIABLE, SCHEDULING_KEY
from department_nodes.program import DOCUMENTATION, program_hash
from department_nodes.site import site_of
from department_nodes.store.models import Base
from department_nodes.store.session import HEAD_REVISION, MIGRATIONS, migrate, open_engine


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path / "region", people=60)


def test_a_second_init_in_the_same_folder_is_refused_and_changes_nothing(region: Region) -> None:
    home = region.homes["tax"]
    before = home.key("identity.key")
    with pytest.raises(DoudiError, match=r"node\.exists"):
        create_node(home.path, home.config)
    assert home.key("identity.key") == before
    (home.path / "node.toml").unlink()
    with pytest.raises(DoudiError, match=r"node\.exists"):
        create_node(home.path, home.config)
    assert home.key("identity.key") == before


def test_a_key_that_others_may_read_is_refused(region: Region) -> None:
    home = region.homes["tax"]
    (home.path / "keys" / "identity.key").chmod(0o644)
    with pytest.raises(DoudiError, match=r"key\.permissions"):
        home.key("identity.key")


def test_a_node_works_without_its_officers_keys_and_the_officer_signs_with_them_elsewhere(
    region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "officer"
    device.mkdir()
    home = region.homes["tax"]
    before = site_of(home)
    for name in (APPROVAL_KEY, SCHEDULING_KEY):
        shutil.move(home.path / "keys" / name, device / name)
    assert site_of(home) == before
    with pytest.raises(DoudiError, match=r"key\.missing"):
        home.officer_key(APPROVAL_KEY)
    monkeypatch.setenv(OFFICER_KEYS_VARIABLE, str(device))
    assert len(home.officer_key(APPROVAL_KEY)) == 32


def test_the_head_revision_is_the_newest_migration_and_the_models_match_it(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD_REVISION
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert all(column.comment for table in Base.metadata.tables.values() for column in table.columns)


def test_a_database_of_an_unknown_version_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DoudiError, match=r"db\.unknown_schema"):
        migrate(engine)


def test_the_program_hash_covers_the_installed_code_and_no_documentation() -> None:
    assert len(program_hash()) == 64
    assert ".md" in DOCUMENTATION
