"""The store of translations: what is put is kept, by several writers and through kill -9."""

import multiprocessing
import os
import signal
import stat
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.translation import store as module
from mmclip.translation.engine import Translated
from mmclip.translation.store import Store, key

SPAWN = multiprocessing.get_context("spawn")
KEYS = [key("engine", "eng_Latn", "spa_Latn", f"sentence {number}") for number in range(3000)]


def test_round_trip_and_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.sqlite"
    values = {KEYS[0]: Translated("Sin derrame.", ("loop", "no_end")), KEYS[1]: Translated("Edema.")}
    with Store(path) as store:
        store.put(values)
    with Store(path, shared=True) as store:
        assert store.get(KEYS[:5]) == values
        store.put({KEYS[0]: Translated("Otra cosa.")})
        assert store.get(KEYS[:1]) == {KEYS[0]: values[KEYS[0]]}, "the first answer stays"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_differ_in_each_part() -> None:
    parts = ("engine", "eng_Latn", "spa_Latn", "No effusion.")
    changed = [key(*parts[:i], parts[i] + "x", *parts[i + 1 :]) for i in range(4)]
    assert len({key(*parts), *changed}) == 5
    assert key("a", "b", "c", "\ud800") != key("a", "b", "c", "?")


def test_many_keys_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        assert store.claim(KEYS) == KEYS
        store.put({row: Translated(str(number)) for number, row in enumerate(KEYS)})
        found = store.get(KEYS)
        assert [found[row].text for row in KEYS] == [str(number) for number in range(len(KEYS))]
        assert store.claim(KEYS) == []


def test_an_empty_answer_is_asked_for_again(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store, Store(tmp_path / "store.sqlite") as other:
        store.claim(KEYS[:2])
        store.put({KEYS[0]: Translated("", ("empty",)), KEYS[1]: Translated("Edema.")})
        assert other.get(KEYS[:2]) == {KEYS[1]: Translated("Edema.")}
        assert other.claim(KEYS[:2]) == KEYS[:1]


def test_not_a_store_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_text("this is no database, and long enough to be seen as none. " * 20)
    with pytest.raises(UserError, match="cannot be used as the store of translations"):
        Store(path)


def _work(path: Path, name: str, go: Event, counts: Path) -> None:
    """Claim, translate and put all keys in blocks; write how many were this process's."""
    go.wait()
    mine = 0
    with Store(path) as store:
        for start in range(0, len(KEYS), 50):
            claimed = store.claim(KEYS[start : start + 50])
            store.put({row: Translated(name) for row in claimed})
            mine += len(claimed)
    counts.write_text(str(mine))


def test_two_processes_at_once(tmp_path: Path) -> None:
    path, go = tmp_path / "store.sqlite", SPAWN.Event()
    counts = [tmp_path / "a", tmp_path / "b"]
    workers = [SPAWN.Process(target=_work, args=(path, file.name, go, file)) for file in counts]
    for worker in workers:
        worker.start()
    go.set()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with Store(path) as store:
        found = store.get(KEYS)
    assert len(found) == len(KEYS), "nothing was lost"
    assert sum(int(file.read_text()) for file in counts) == len(KEYS), "nothing was done twice"


def _claim_and_sleep(path: Path, claimed: Event) -> None:
    with Store(path) as store:
        store.put({KEYS[0]: Translated("kept")})
        store.claim(KEYS[:10])
        claimed.set()
        time.sleep(60)


def _open_often(folder: str, failed: "Queue[str]", start: Event) -> None:
    start.wait(30)
    for number in range(40):
        try:
            with Store(Path(folder) / f"{number}.sqlite") as store:
                store.put({KEYS[number]: Translated(f"{os.getpid()}")})
        except UserError as error:
            failed.put(str(error))


def test_many_open_a_new_store_at_once(tmp_path: Path) -> None:
    start, failed = SPAWN.Event(), SPAWN.Queue()
    processes = [SPAWN.Process(target=_open_often, args=(str(tmp_path), failed, start)) for _ in range(6)]
    for process in processes:
        process.start()
    time.sleep(1.0)
    start.set()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert failed.empty(), failed.get()
    assert not list(tmp_path.glob(".*"))


def test_a_killed_process_loses_its_claims_and_nothing_else(tmp_path: Path) -> None:
    path, claimed = tmp_path / "store.sqlite", SPAWN.Event()
    worker = SPAWN.Process(target=_claim_and_sleep, args=(path, claimed))
    worker.start()
    assert claimed.wait(60)
    with Store(path) as store:
        assert store.claim(KEYS[:12]) == KEYS[10:12], "the living process is doing the others"
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(10)
        assert store.claim(KEYS[:12]) == KEYS[1:12]
        assert store.get(KEYS[:12]) == {KEYS[0]: Translated("kept")}


def _put_for_ever(path: Path, log: Path) -> None:
    with Store(path) as store, log.open("a") as handle:
        for number in range(10**6):
            row = key("engine", "eng_Latn", "spa_Latn", str(number))
            store.claim([row])
            store.put({row: Translated(f"{number} " * 50)})
            handle.write(f"{number}\n")
            handle.flush()


def test_killed_in_the_middle_of_writing(tmp_path: Path) -> None:
    """Whatever a writer was told is kept is there after kill -9, whole, and the store still works."""
    path, log = tmp_path / "store.sqlite", tmp_path / "kept.log"
    log.touch()
    for kills in range(1, 4):
        workers = [SPAWN.Process(target=_put_for_ever, args=(path, log)) for _ in range(2)]
        for worker in workers:
            worker.start()
        wanted = 20 * kills + len(log.read_text().splitlines())
        deadline = time.monotonic() + 60
        while len(log.read_text().splitlines()) < wanted and time.monotonic() < deadline:
            time.sleep(0.003)
        for worker in workers:
            worker.kill()
            worker.join(10)
        kept = {int(line) for line in log.read_text().split("\n")[:-1]}
        rows = {number: key("engine", "eng_Latn", "spa_Latn", str(number)) for number in kept}
        with Store(path) as store:
            found = store.get(rows.values())
            assert store._database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {number: found[row].text for number, row in rows.items()} == {n: f"{n} " * 50 for n in kept}


def test_an_old_claim_lapses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, claimed = tmp_path / "store.sqlite", SPAWN.Event()
    worker = SPAWN.Process(target=_claim_and_sleep, args=(path, claimed))
    worker.start()
    assert claimed.wait(60)
    with Store(path) as store:
        assert store.claim(KEYS[1:3]) == []
        monkeypatch.setattr(module, "LEASE", 0.0)
        assert store.claim(KEYS[1:3]) == KEYS[1:3]
    worker.kill()
    worker.join(10)


def test_news_keeps_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stores one part of a block in time holds the rest, however long the block takes."""
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
    with Store(tmp_path / "store.sqlite") as store, Store(tmp_path / "store.sqlite") as other:
        other._owner = f"{other._owner.rpartition(':')[0]}:another"
        monkeypatch.setattr(module, "alive", lambda owner: True)
        assert store.claim(KEYS[:4]) == KEYS[:4]
        for number in range(3):
            now += 0.9 * module.LEASE
            assert other.claim(KEYS[:4]) == []
            store.put({KEYS[number]: Translated("Edema.")})
        now += module.LEASE
        assert other.claim(KEYS[:4]) == KEYS[3:4]


def test_leaving_gives_claims_back(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with pytest.raises(RuntimeError), Store(path) as store:
        store.claim(KEYS[:5])
        raise RuntimeError
    with Store(path) as store:
        rows = store._database.execute("SELECT count(*) FROM claims").fetchone()
    assert rows == (0,)
