"""The table of coverage: each folder's own statements, and all of them."""

from tests.coverage_by_folder import table


def file(statements, covered):
    return {"summary": {"num_statements": statements, "covered_lines": covered}}


def test_a_folder_counts_its_own_files_and_not_those_of_the_folders_in_it():
    files = {
        "store/node.py": file(100, 90),
        "store/wire/udp.py": file(1000, 400),
        "store/wire/rpc.py": file(200, 80),
        "store/py.py": file(0, 0),
        "empty/__init__.py": file(0, 0),
    }
    assert table({"files": files}) == [
        "| folder | statements | covered |",
        "| --- | --- | --- |",
        "| `store/` | 100 | 90.0% |",
        "| `store/wire/` | 1,200 | 40.0% |",
        "| all | 1,300 | 43.8% |",
    ]
