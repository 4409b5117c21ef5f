"""Files in object stores and on web servers: the same batches as from a folder, whatever happens on the way."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import pickle
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import (
    ByteFiles,
    ConfigError,
    DataNotFoundError,
    Loader,
    MapSource,
    MemoryLimitError,
    NpyFiles,
    SampleError,
    SampleTimeout,
    StateError,
    decode,
)
from loader import transforms as T
from loader.data.remote.gathering import pace
from loader.data.remote.gathering.gather import Gather
from loader.data.remote.objects import Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting import scout
from loader.errors import FetchError, PipelineError
from tests.batches import assert_same, copied, inline, take
from tests.processes import wait_until, workers_of
from tests.servers.faults import Fate, Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

SECRET = "wJalrXUtnFEMI-not-to-be-seen"

StartFront = Callable[..., Front]


def urls_of(served: Front, folder: Path) -> list[str]:
    return [f"{served.endpoint}/{path.relative_to(folder)}" for path in sorted(folder.rglob("*.npy"))]


@contextlib.contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_files_of_a_web_server_make_the_batches_of_a_folder(npy_folder: Any, front: StartFront, workers: int) -> None:
    folder = npy_folder(50, (6, 5, 3), "uint8")
    far = NpyFiles(urls_of(front(folder, latency_s=0.01), folder), labels=np.arange(50))
    near = NpyFiles(folder, labels=np.arange(50))
    settings: dict[str, Any] = {"shuffle": True, "seed": 3, "transforms": [T.Rescale(1 / 255), T.Flip("horizontal")]}
    assert far.ids() == near.ids()
    with Loader(far, 8, workers=workers, **settings) as loader:
        assert_same(take(loader, 2), inline(near, 8, 2, **settings))


def test_a_bucket_is_what_a_folder_is(npy_folder: Any, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = npy_folder(24, classes=3)
    (folder / "labels.csv").write_text("path,label\n" + "".join(f"c{i % 3}/{i:06d}.npy,{i}\n" for i in range(24)))
    s3_bucket.put_folder(folder, "a b/train/")
    place = f"{s3_bucket.url}/a b/train"
    ids = NpyFiles.from_folder(folder).ids()
    with environment(monkeypatch, s3_bucket.environment):
        sources = {
            "folders of classes": (NpyFiles.from_folder(place), NpyFiles.from_folder(folder)),
            "folder": (NpyFiles(place), NpyFiles(folder)),
            "pattern": (NpyFiles(f"{place}/*/*.npy", exclude="c0/*"), NpyFiles(f"{folder}/*/*.npy", exclude="c0/*", root=folder)),
            "manifest": (NpyFiles.from_manifest(f"{place}/labels.csv"), NpyFiles.from_manifest(folder / "labels.csv")),
            "IDs": (NpyFiles(ids, root=place, labels=f"{place}/labels.csv"), NpyFiles(ids, root=folder, labels=folder / "labels.csv")),
            "any files": (ByteFiles(place, exclude="*.csv", decode=decode.npy()), NpyFiles(folder)),
        }
        for what, (far, near) in sources.items():
            assert len(far) == len(near), what
            if what != "pattern":
                assert far.ids() == near.ids(), what
            with Loader(far, 5, workers=2 if what == "manifest" else 0, shuffle=True) as loader:
                assert_same(take(loader), inline(near, 5, shuffle=True))


@pytest.mark.parametrize("name", ["[1].npy", "100%.npy", "a%20b.npy", "q?x.npy", "日本.npy"])
def test_an_object_of_an_odd_name_is_found_by_it(name: str, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, npy_folder: Any) -> None:
    content = next(npy_folder(1).glob("*.npy")).read_bytes()
    s3_bucket.put(f"odd/{name}", content)
    s3_bucket.put("odd/qyx.npy", content)
    url = f"{s3_bucket.url}/odd/{name}"
    with environment(monkeypatch, s3_bucket.environment):
        assert NpyFiles(url).paths == [url]
        assert NpyFiles([url]).paths == [url]


def test_a_scheme_may_be_written_in_other_ways(s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, npy_folder: Any) -> None:
    s3_bucket.put_folder(npy_folder(2, classes=2), "train/")
    with environment(monkeypatch, s3_bucket.environment):
        for scheme in ("S3", "s3a"):
            source = NpyFiles.from_folder(f"{scheme}://{s3_bucket.name}/train/")
            assert source.paths[0].startswith(f"{s3_bucket.url}/train/c0/")
            assert source.classes == ("c0", "c1")


def test_the_code_of_the_page_runs_as_it_stands_there_but_for_the_name_of_the_bucket(
    s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        np.save(tmp_path / "train" / name / f"{number}.npy", np.zeros((3, 4), np.float32))
    (tmp_path / "train" / "labels.csv").write_text("path,label\ncat/0.npy,0\ndog/1.npy,1\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.raw").write_bytes(bytes(48))
    np.save(tmp_path / "x.npy", np.zeros((6, 2)))
    np.save(tmp_path / "y.npy", np.zeros(6))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one\ntwo\n")
    s3_bucket.put_folder(tmp_path)
    page = (Path(__file__).parent.parent.parent / "docs" / "my_data_is_in_a_bucket.md").read_text()
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    with environment(monkeypatch, s3_bucket.environment):
        for snippet in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
            exec(snippet.replace("s3://my-bucket", s3_bucket.url), made)
        made.pop("train").close()
        source, unlisted = made["source"], made["unlisted"]
        assert (unlisted.ids(), unlisted.classes, unlisted.labels().tolist()) == (source.ids(), source.classes, source.labels().tolist())
    assert {name: len(made[name]) for name in ("source", "pictures", "listed", "chosen", "matching", "rows", "windows", "lines")} == {
        "source": 2, "pictures": 1, "listed": 2, "chosen": 2, "matching": 1, "rows": 6, "windows": 3, "lines": 2,
    }  # fmt: skip


def test_another_bucket_is_reached_by_storage_options_alone(npy_folder: Any, s3_bucket: Bucket) -> None:
    folder = npy_folder(6)
    s3_bucket.put_folder(folder)
    options = {
        "endpoint_url": s3_bucket.environment["AWS_ENDPOINT_URL"],
        "key": s3_bucket.environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": s3_bucket.environment["AWS_SECRET_ACCESS_KEY"],
        "region": "us-east-1",
    }
    with Loader(NpyFiles(s3_bucket.url, storage_options=options), 3, workers=1) as loader:
        assert_same(take(loader), inline(NpyFiles(folder), 3))
    with pytest.raises(FetchError, match=r"the secret does not fit the key \(403 SignatureDoesNotMatch\)"):
        NpyFiles(s3_bucket.url, storage_options={**options, "aws_secret_access_key": "wrong"})


def test_what_fsspec_knows_is_read_as_well(npy_folder: Any) -> None:
    folder = npy_folder(30)
    with Loader(NpyFiles(f"file://{folder}"), 8, workers=2, shuffle=True) as loader:
        assert_same(take(loader, 2), inline(NpyFiles(folder), 8, 2, shuffle=True))


def test_an_archive_is_opened_once_for_all_that_is_read_of_it(npy_folder: Any, tmp_path: Path) -> None:
    folder = npy_folder(30)
    files = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.npy"))
    archive = f"file://{shutil.make_archive(str(tmp_path / 'archive'), 'zip', folder)}"
    before = len(os.listdir("/proc/self/fd"))
    with Loader(NpyFiles([f"zip://{name}::{archive}" for name in files]), 8, workers=0) as loader:
        assert_same(take(loader), inline(NpyFiles([f"{folder}/{name}" for name in files]), 8))
        assert len(os.listdir("/proc/self/fd")) < before + 10
    by_way = NpyFiles([f"simplecache::file://{folder}/{name}" for name in files[:2]])
    assert_same([by_way[1]], [NpyFiles([f"{folder}/{name}" for name in files])[1]])
    for many in (f"zip://::{archive}", f"zip://*.npy::{archive}"):
        with pytest.raises(ConfigError, match="give a list of URLs, each with its whole chain"):
            NpyFiles(many)


def test_what_fetching_takes_is_part_of_the_memory_that_a_worker_needs(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(20)
    far = NpyFiles(urls_of(front(folder), folder))
    with Loader(far, 4, workers=2, memory_limit="150MiB") as loader, pytest.raises(MemoryLimitError, match=r"2 workers × 96\.0 MiB"):
        take(loader)
    with Loader(far, 4, workers=1, memory_limit="250MiB") as loader:
        assert_same(take(loader), inline(NpyFiles(folder), 4))


def test_hundreds_of_requests_are_on_their_way_at_a_time(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(600)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    served.set_faults(Faults(latency_s=2.0))
    with Loader(far, 64, workers=2):
        wait_until(lambda: served.counts().most_in_flight >= 256, "256 requests are on their way")


def test_what_fails_or_hangs_is_asked_for_again_and_nobody_is_accused(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(200)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    shares = {"unavailable": 0.05, "slow_down": 0.03, "too_many": 0.03, "server_error": 0.05, "reset": 0.05, "short": 0.05, "hang": 0.03}
    served.set_faults(Faults(seed=1, latency_s=0.005, attempts=3, **shares))
    served.forget()
    with Loader(far, 16, workers=2, shuffle=True) as loader:
        pids = workers_of(loader, 2)
        assert_same(take(loader, 2), inline(NpyFiles(folder), 16, 2, shuffle=True))
        assert workers_of(loader, 2) == pids
        stats = loader.stats()
    assert stats.errors == 0
    assert stats.network is not None
    assert stats.network.retries > 20
    assert stats.network.hits == 0
    assert "retries" in str(stats)
    assert type(stats).from_dict(stats.as_dict()) == stats
    assert served.counts().failed > 20


def test_what_hangs_three_times_is_asked_for_a_fourth_time(npy_folder: Any, front: StartFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FIRST_GUESS_S", 0.05)
    folder = npy_folder(1)
    served = front(folder, hang=1.0, attempts=3)
    gather = Gather(StorageOptions(), 60.0, 4, 8)
    assert bytes(gather.take(Span(f"{served.endpoint}/000000.npy")).content) == (folder / "000000.npy").read_bytes()
    assert served.counts().fates[Fate.HANG] == 3
    gather.close()


def test_a_store_that_refuses_requests_gets_fewer_at_a_time(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(128)
    served = front(folder, latency_s=0.2)
    gather = Gather(StorageOptions(), 60.0, 64, 128)
    spans = [Span(url) for url in urls_of(served, folder)]
    served.set_faults(Faults(latency_s=0.2, slow_down=1.0, attempts=1))
    gather.begin(spans[:64])
    for span in spans[:64]:
        gather.take(span)
    assert served.counts().fates[Fate.SLOW_DOWN] == 64
    assert gather.counts.depth < 50
    served.set_faults(Faults(latency_s=0.2))
    served.forget()
    before = gather.counts.retries
    gather.begin(spans[64:])
    for span in spans[64:]:
        gather.take(span)
    twice = gather.counts.retries - before  # where the machine is slow, some are asked for once more
    assert served.counts().most_in_flight <= gather.counts.depth + twice
    gather.close()


def test_what_hangs_while_a_source_is_made_is_asked_for_again(npy_folder: Any, front: StartFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "_REQUEST_S", 0.3)
    folder = npy_folder(6)
    served = front(folder, hang=1.0, only="HEAD /00000", attempts=1)
    assert len(NpyFiles(urls_of(served, folder))) == 6
    assert served.counts().fates[Fate.HANG] == 6


def test_a_killed_workers_rows_are_fetched_again(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(300)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    served.set_faults(Faults(latency_s=0.2))
    with Loader(far, 16, workers=2, shuffle=True, slots=4) as loader:
        batches = loader.batches()
        found = [copied(next(batches))]
        victim = workers_of(loader, 2)[0]
        os.kill(victim, signal.SIGKILL)
        found += [copied(next(batches)) for _ in range(len(loader) - 1)]
        wait_until(lambda: victim not in [worker.pid for worker in loader.stats().workers], "the worker is replaced")
    assert_same(found, inline(NpyFiles(folder), 16, shuffle=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_object_that_is_gone_is_an_error_at_once(npy_folder: Any, front: StartFront, workers: int) -> None:
    folder = npy_folder(20)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    (folder / "000013.npy").unlink()
    with (
        Loader(far, 4, workers=workers) as loader,
        pytest.raises(SampleError, match=r"/000013\.npy.*no such object \(404\).*check the URL") as caught,
    ):
        take(loader)
    assert caught.value.index == 13
    assert served.counts().asked["GET /000013.npy"] < 5  # the next epoch is being filled already


@pytest.mark.parametrize("workers", [0, 2])
def test_an_object_that_changes_is_an_error(npy_folder: Any, front: StartFront, workers: int) -> None:
    folder = npy_folder(40)
    far = NpyFiles(urls_of(front(folder), folder))
    with Loader(far, 4, workers=workers, slots=3) as loader:
        state = loader.state_dict()
        next(loader.batches())
        np.save(folder / "000039.npy", np.full((4, 3), 7, np.float32))  # of the same size
        with pytest.raises(SampleError, match=r"000039\.npy.*has changed since the source was made"):
            take(loader, 4)  # some epochs have been fetched already
    again = NpyFiles(far.paths)
    with Loader(again, 4, workers=0) as loader, pytest.raises(StateError, match="ids: "):
        loader.load_state_dict(state)


def test_a_store_that_stays_silent_ends_in_an_error_that_names_the_object(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(20)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    served.set_faults(Faults(hang=1.0, only="000013"))
    with (
        Loader(far, 4, workers=2, sample_timeout_s=6) as loader,
        pytest.raises(SampleError, match=r"000013\.npy.*did not come within 4\.5 s") as caught,
    ):
        take(loader)
    assert type(caught.value) is SampleError  # and not one that says that it hangs its worker


def test_all_that_fails_at_once_tells_the_earliest(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(64)
    far = NpyFiles(urls_of(front(folder), folder))
    for number in range(3, 64):
        (folder / f"{number:06d}.npy").unlink()
    with Loader(far, 4, workers=2) as loader:
        for epoch in range(3):
            with pytest.raises(SampleError, match=r"000003\.npy.*no such object") as caught:
                take(loader)
            assert caught.value.index == 3, epoch


def test_a_pause_of_the_store_ends_nothing(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(40)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder))
    served.set_faults(Faults(unavailable=1.0, attempts=5))
    served.forget()
    with Loader(far, 8, workers=2) as loader:
        assert_same(take(loader), inline(NpyFiles(folder), 8))
    assert served.counts().failed >= 5 * 40


def test_credentials_are_nowhere_to_be_seen(npy_folder: Any, front: StartFront, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = npy_folder(20)
    served = front(folder)
    far = NpyFiles(urls_of(served, folder), storage_options={"default_headers": {"Authorization": SECRET}})
    (folder / "000013.npy").unlink()
    served.set_faults(Faults(unavailable=0.3, attempts=1))
    caplog.set_level(logging.DEBUG)
    with Loader(far, 4, workers=2, on_error="substitute", quarantine=tmp_path / "bad.jsonl") as loader:
        take(loader)
        seen = [repr(loader.stats()), str(loader.state_dict()), repr(loader)]
    seen += [repr(far), str(vars(far)), repr(far._options), caplog.text, (tmp_path / "bad.jsonl").read_text()]
    with pytest.raises(DataNotFoundError) as caught:
        far[13]
    seen += [str(caught.value), repr(caught.value)]
    assert SECRET not in "".join(seen)
    assert SECRET.encode() not in pickle.dumps(far)
    assert "tried again" in caplog.text
    assert copy.deepcopy(far)[0]
    with pytest.raises(ConfigError, match="default_headers"):
        pickle.loads(pickle.dumps(far))[0]


def test_the_process_of_the_script_has_no_threads_of_it(npy_folder: Any, front: StartFront, run_script: Any) -> None:
    folder = npy_folder(20)
    urls = urls_of(front(folder), folder)
    done = run_script(f"""
import os
from loader import Loader, NpyFiles
threads = len(os.listdir("/proc/self/task"))
with Loader(NpyFiles({urls!r}), 4, workers=1) as loader:
    for batch in loader:
        pass
    print(len(os.listdir("/proc/self/task")) - threads)
""")
    assert done.stdout == "0\n", done.stderr


def test_a_fork_of_a_process_that_has_read_far_data_is_told_instead_of_hanging(npy_folder: Any, front: StartFront, run_script: Any) -> None:
    folder = npy_folder(3)
    urls = urls_of(front(folder), folder)
    done = run_script(f"""
import os
from loader import NpyFiles
source = NpyFiles({urls!r})
source[0]
pid = os.fork()
if pid == 0:
    try:
        source[1]
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(source[1][0][0, 0])
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PipelineError far data was read in this process before it was forked")
    assert done.stdout.endswith("1.0\n")
    assert PipelineError


@pytest.mark.thorough
def test_a_source_that_uses_a_store_where_workers_are_forked_is_told_so_instead_of_hanging(
    npy_folder: Any, front: StartFront, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the loader make theirs in the worker."""
    endpoint = front(npy_folder(8)).endpoint

    class TooEarly(MapSource):
        def __init__(self) -> None:
            super().__init__(range(8))
            self.store: Any = None

        def open(self) -> None:
            from obstore.store import HTTPStore

            self.store = HTTPStore.from_url(endpoint, client_options={"allow_http": True})
            self.store.get("000000.npy").bytes()

        def sample(self, index: int) -> tuple[int]:
            return (len(self.store.get(f"{index:06d}.npy").bytes()) if self.store is not None else 0,)

    with Loader(TooEarly(), 4, workers=1, sample_timeout_s=1.0) as loader, pytest.raises(SampleTimeout, match="threads of the source"):
        take(loader)
    assert "a thread of C code" in caplog.text
    assert "start threads in the worker" in caplog.text


def test_lists_of_folders_that_a_web_server_can_not_give_are_refused(npy_folder: Any, front: StartFront) -> None:
    served = front(npy_folder(3))
    with pytest.raises(ConfigError, match="web servers can't list"):
        NpyFiles.from_folder(served.endpoint)
    with pytest.raises(DataNotFoundError, match="web servers can't list"):
        NpyFiles(f"{served.endpoint}/train")
    with pytest.raises(DataNotFoundError, match=r"1 of the 2 objects do not exist: .*/none\.npy"):
        NpyFiles([f"{served.endpoint}/000000.npy", f"{served.endpoint}/none.npy"])


def test_an_object_of_another_shape_names_itself(npy_folder: Any, front: StartFront) -> None:
    folder = npy_folder(8)
    np.save(folder / "000005.npy", np.zeros((2, 2), np.float32))
    far = NpyFiles(urls_of(front(folder), folder))
    with Loader(far, 4, workers=1) as loader, pytest.raises(SampleError, match=r"000005\.npy: has shape \(2, 2\)"):
        take(loader)
