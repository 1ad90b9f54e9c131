"""A worker of a watch knows, before it takes up a group, all that any worker processed before the group was given
out."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.utils.shared import Shared

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.index.refresh import IndexFollower
from cardbeam.index.status import PriorStatus
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.grouping import batch_of, group_key
from cardbeam.model.record import JournalRecord
from cardbeam.storage.folder import LocalFolder
from tests.records import answered, copy, hex_id
from transforms.shared_index import BatchesOfBundle, SharedIndex

RUN = "run-1"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def complete(folder: LocalFolder, *records: JournalRecord, run_id: str = RUN) -> None:
    """As another worker does."""
    journal = LocalJournal(folder, run_id)
    for record in records:
        journal.append(record)
    journal.close()


def test_what_others_settle_is_known_from_the_next_batch_on(folder: LocalFolder) -> None:
    complete(folder, answered(1, source=11), run_id="run-0")
    fresh = IndexFollower(folder, RUN)
    complete(folder, answered(2, source=12), copy(1, source=13))
    assert [fresh.index.of_item(hex_id(item)) for item in (1, 2)] == [
        PriorStatus.SUCCEEDED_EARLIER_RUN,
        PriorStatus.UNKNOWN,
    ]
    fresh.catch_up()
    assert [fresh.index.of_item(hex_id(item)) for item in (1, 2)] == [
        PriorStatus.SUCCEEDED_EARLIER_RUN,
        PriorStatus.SUCCEEDED_THIS_RUN,
    ]
    assert fresh.index.of_source(hex_id(13)) == (PriorStatus.SUCCEEDED_EARLIER_RUN, hex_id(1))


@pytest.fixture
def shared(folder: LocalFolder) -> SharedIndex:
    output = OutputSettings(folder.root, RUN)
    return SharedIndex(Settings(InputSettings(("in",)), EndpointSettings(), RateSettings(), output))


def test_a_bundle_catches_up_with_each_batch_once(folder: LocalFolder, shared: SharedIndex) -> None:
    """And so does another bundle of the process with the same batch: it may run again what another worker began."""
    known = []
    index, bundle = shared.get(), BatchesOfBundle(shared)
    bundle.catch_up(group_key("1.a", "1000"))
    complete(folder, answered(2))
    for one, batch in ((bundle, "1.a"), (BatchesOfBundle(shared), "1.a")):
        one.catch_up(group_key(batch, "2000"))
        known.append(index.of_item(hex_id(2)))
    complete(folder, answered(3))
    bundle.catch_up(group_key("2.b", "1000"))
    assert [*known, index.of_item(hex_id(3))] == [
        PriorStatus.UNKNOWN,
        PriorStatus.SUCCEEDED_THIS_RUN,
        PriorStatus.SUCCEEDED_THIS_RUN,
    ]


def test_the_index_that_a_process_has_taken_is_the_one_that_is_kept_up(
    folder: LocalFolder, shared: SharedIndex
) -> None:
    """Beam lets go of what is shared when the next thing is, a worker say, unless somebody holds it."""
    taken = shared.get()
    Shared().acquire(lambda: IndexFollower(folder, "another"))
    shared.refresh()
    complete(folder, answered(2))
    shared.refresh()
    assert taken.of_item(hex_id(2)) is PriorStatus.SUCCEEDED_THIS_RUN


def test_labels_that_another_worker_recorded_are_known(folder: LocalFolder) -> None:
    """A known source with other labels is another input: it is learnt too."""
    complete(folder, answered(1, source=11), run_id="run-0")
    fresh = IndexFollower(folder, RUN)
    labelled = copy(1, source=11, labels=(("customer", "7"),))
    complete(folder, labelled)
    assert not fresh.index.has_input(labelled.source_id, labelled.input_id)
    fresh.catch_up()
    assert fresh.index.has_input(labelled.source_id, labelled.input_id)


def test_a_group_names_its_batch() -> None:
    assert batch_of(group_key("3.ab", "1000-2000")) == "3.ab"
