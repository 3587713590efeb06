"""The runner of pages: what it does with blocks, and what it says when one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pages import PageFailed, PageRun, blocks_of, differs
from support.server import wait_until


def run(folder: Path, page: str) -> None:
    path = folder / "page.md"
    path.write_text(page)
    with PageRun(path, folder) as running:
        running.all()


def test_blocks_are_found_with_their_words_and_lines() -> None:
    page = "# Title\n\n```bash\ntrue\n```\n\n- item\n\n  ```text output\n  a\n    b\n  ```\n\n````md\n```\n````\n"
    found = [(block.info, block.line, block.text) for block in blocks_of(page)]
    assert found == [(("bash",), 4, "true\n"), (("text", "output"), 10, "a\n  b\n"), (("md",), 15, "```\n")]


def test_block_that_does_not_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 3"):
        list(blocks_of("# Title\n\n```bash\ntrue\n"))


def test_blocks_of_one_language_keep_what_they_made_and_share_a_folder(tmp_path: Path) -> None:
    run(
        tmp_path,
        "```bash\nx=1\n```\n```python\nn = 2\n```\n"
        "```bash\necho $x > x\n```\n```python\nopen('n', 'w').write(str(n))\n```\n",
    )
    assert ((tmp_path / "x").read_text(), (tmp_path / "n").read_text()) == ("1\n", "2")


@pytest.mark.parametrize(
    ("language", "text"), [("bash", "echo before\nfalse | cat\necho after"), ("python", "print('before')\n1 / 0")]
)
def test_block_that_fails_is_told_with_page_line_and_output(tmp_path: Path, language: str, text: str) -> None:
    with pytest.raises(PageFailed) as told:
        run(tmp_path, f"# Title\n\n```{language}\n{text}\n```\n")
    message = str(told.value)
    assert message.startswith("page.md:4: the block failed")
    assert message.rpartition(text)[2].strip().startswith("before")
    assert "\nafter" not in message.rpartition(text)[2]


def test_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(PageFailed, match="line 5, in <module>"):
        run(tmp_path, "# Title\n\n```python\nx = 1\nx / 0\n```\n")


def test_output_is_held_against_what_was_printed(tmp_path: Path) -> None:
    run(tmp_path, "```bash\necho one; echo two\n```\n\nwhich says\n\n```text output\none\ntwo\n```\n")
    with pytest.raises(PageFailed, match=r"page\.md:5: not printed: three"):
        run(tmp_path, "```bash\necho one; echo two\n```\n```text output\none\nthree\n```\n")


@pytest.mark.parametrize(
    ("told", "printed"),
    [
        ("a  b\n", "a b\n"),
        ("a …\n", "a sha256:42\n"),
        ("a\n…\nd\n", "a\nb\nc\nd\n"),
        ("…\nd\n…\n", "c\nd\ne\n"),
        ("accuracy 0.97, 3 classes", "accuracy 0.96, 3 classes"),
        ("[0.1, -2.5e-3]", "[0.101, -2.54e-3]"),
    ],
)
def test_what_varies_does_not_matter(told: str, printed: str) -> None:
    assert differs(told, printed) is None


@pytest.mark.parametrize(
    ("told", "printed", "wrong"),
    [
        ("a\nc\n", "a\nb\nc\n", "c"),
        ("a\n", "a\nb\n", "the end, before: b"),
        ("a\nb\n", "a\n", "b"),
        ("accuracy 0.97", "accuracy 0.9", "accuracy 0.97"),
        ("release 1.2.3", "release 1.2.4", "release 1.2.3"),
        ("3 classes", "2 classes", "3 classes"),
    ],
)
def test_what_does_not_vary_matters(told: str, printed: str, wrong: str) -> None:
    assert differs(told, printed) == wrong


def test_usual_ports_become_free_ones_for_commands_and_for_settings(tmp_path: Path) -> None:
    run(tmp_path, "```bash\necho http://127.0.0.1:8000 $SECURE_ML_API_SERVER__PORT 8000 > port\n```\n")
    url, port, number = (tmp_path / "port").read_text().split()
    assert url == f"http://127.0.0.1:{port}"
    assert port != "8000" == number


def test_what_a_page_left_running_is_stopped(tmp_path: Path) -> None:
    run(tmp_path, "```bash\nsleep 600 &\necho $! > pid\n```\n")
    process = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    wait_until(lambda: not process.exists() or process.read_text().split()[2] == "Z", what="its end")


def test_page_that_fails_with_something_running_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(PageFailed):
        run(tmp_path, "```bash\nsleep 600 &\nfalse\n```\n")


@pytest.mark.parametrize(("installs", "has"), [("secure-ml-api", "False"), ("secure-ml-api[train,torch]", "True")])
def test_a_page_has_only_the_frameworks_whose_extras_it_names(tmp_path: Path, installs: str, has: str) -> None:
    code = "try:\n    import torch.version\nexcept ModuleNotFoundError:\n    print(False)\nelse:\n    print(True)\n"
    run(tmp_path, f"`pip install '{installs}'`\n\n```python\n{code}```\n```text output\n{has}\n```\n")
