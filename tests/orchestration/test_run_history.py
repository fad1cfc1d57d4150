from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from orchestration.run_history import unsynchronised

OFF, FULL = 0, 2


def synchronous(path):
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        return connection.execute(text("PRAGMA synchronous")).scalar()


def test_only_what_lies_in_the_folder_skips_the_disk_and_only_in_the_block(tmp_path):
    folder = tmp_path / "dagster"
    folder.mkdir()
    with unsynchronised(folder):
        assert synchronous(folder / "runs.db") == OFF
        assert synchronous(tmp_path / "mlflow.db") == FULL
    assert synchronous(folder / "runs.db") == FULL
