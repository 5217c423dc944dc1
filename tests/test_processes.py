"""Work over processes: order, errors, and workers that do not outlive a killed parent."""

import os
import signal
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

import pytest

from mmclip.processes import ordered_map


def square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def fail(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(ordered_map(square, range(20), workers)) == [number**2 for number in range(20)]


def test_endless_items_are_taken_as_needed() -> None:
    assert list(islice(ordered_map(square, count(), 2), 5)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ValueError, match="three"):
        list(ordered_map(fail, range(9), workers))


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from mmclip.processes import ordered_map\n"
        "def work(item):\n"
        f"    Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(ordered_map(work, [1, 2], 2))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    workers = wait_for(lambda: sorted(tmp_path.glob("*.pid")), 2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    pids = [int(file.stem) for file in workers]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.05)
    assert not any(map(alive, pids))


def wait_for(look: object, number: int) -> list[Path]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = look()  # type: ignore[operator]
        if len(found) == number:
            return list(found)
        time.sleep(0.05)
    raise AssertionError("the workers did not start")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
