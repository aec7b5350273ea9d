"""The document for Prometheus, compared whole and read by the reference parsers of both formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from procman.model import Level, Result
from procman.monitoring.checks.inputs import KeptWorker
from procman.monitoring.health import Health
from procman.output.openmetrics import as_text
from tests.output.health import healthy, stuck

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    """Return every value by name and labels, as OpenMetrics' parser reads it; the parser of the older format agrees."""
    [new, old] = [
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
        for families in (read_openmetrics(text), read_prometheus(text))
    ]
    assert new == old
    return new


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset({"project": "catmaid", **labels}.items())]


def test_document_has_every_family(tmp_path: Path) -> None:
    lines = as_text(healthy(tmp_path)).splitlines()
    age = next(number for number, line in enumerate(lines) if line.startswith("procman_heartbeat_age_seconds{"))
    name, _, seconds = lines.pop(age).rpartition(" ")
    assert name == 'procman_heartbeat_age_seconds{project="catmaid",program="catmaid-celery"}'
    assert float(seconds) >= 0
    assert [line for line in lines if not line.startswith("# HELP")] == [
        "# TYPE procman_level gauge",
        'procman_level{project="catmaid"} 0',
        "# TYPE procman_check_level gauge",
        'procman_check_level{project="catmaid",program="catmaid-celery",code="PM101"} 0',
        'procman_check_level{project="catmaid",program="catmaid-celery",code="PM200"} 0',
        'procman_check_level{project="catmaid",program="catmaid-flower",code="PM101"} 0',
        'procman_check_level{project="catmaid",program="",code="PM501"} 0',
        'procman_check_level{project="catmaid",program="",code="PM603"} 0',
        "# TYPE procman_program_level gauge",
        'procman_program_level{project="catmaid",program="catmaid-celery"} 0',
        'procman_program_level{project="catmaid",program="catmaid-flower"} 0',
        "# TYPE procman_program_running gauge",
        'procman_program_running{project="catmaid",program="catmaid-celery"} 1',
        'procman_program_running{project="catmaid",program="catmaid-flower"} 0',
        "# TYPE procman_program_wanted gauge",
        'procman_program_wanted{project="catmaid",program="catmaid-celery"} 1',
        'procman_program_wanted{project="catmaid",program="catmaid-flower"} 0',
        "# TYPE procman_program_memory_bytes gauge",
        'procman_program_memory_bytes{project="catmaid",program="catmaid-celery"} 70012928',
        "# TYPE procman_program_children gauge",
        'procman_program_children{project="catmaid",program="catmaid-celery"} 2',
        "# TYPE procman_program_busy gauge",
        'procman_program_busy{project="catmaid",program="catmaid-celery"} 0',
        "# TYPE procman_heartbeat_age_seconds gauge",
        "# TYPE procman_queue_messages gauge",
        'procman_queue_messages{project="catmaid",queue="celery"} 10',
        "# TYPE procman_broker_up gauge",
        'procman_broker_up{project="catmaid"} 1',
        "# TYPE procman_free_bytes gauge",
        'procman_free_bytes{project="catmaid",place="/var/log"} 82225135616',
        "# EOF",
    ]


def test_worker_that_overlaps_has_the_number_and_the_memory_of_what_drains(tmp_path: Path) -> None:
    health = healthy(tmp_path)
    first, *rest = health.programs
    overlapping = replace(first.snapshot.program, overlap_max=2)
    earlier = KeptWorker("b", 12, "draining", 0.0, 0.0, tmp_path)
    snapshot = first.snapshot._replace(program=overlapping, draining=(earlier,))
    more = Result("PM101", overlapping.name, Level.OK, "", "", {"draining_memory_bytes": 5.0})
    changed = replace(first, snapshot=snapshot, results=(*first.results, more))
    found = series(as_text(replace(health, programs=(changed, *rest))))
    assert value(found, "procman_program_draining", program=overlapping.name) == 1
    assert value(found, "procman_program_draining_memory_bytes", program=overlapping.name) == 5
    assert len([each for each in found if each[0] == "procman_program_draining"]) == 1, "no other program has one"


def test_both_parsers_read_a_healthy_and_an_unhealthy_project(tmp_path: Path) -> None:
    assert value(series(as_text(healthy(tmp_path))), "procman_level") == Level.OK
    found = series(as_text(stuck(tmp_path)))
    assert value(found, "procman_level") == Level.CRITICAL
    assert value(found, "procman_program_level", program="catmaid-celery") == Level.CRITICAL
    assert value(found, "procman_check_level", program="catmaid-celery", code="PM301") == Level.CRITICAL
    assert value(found, "procman_free_bytes", place="/") == 3 * 1024**2


def test_unknown_values_are_left_out(tmp_path: Path) -> None:
    found = series(as_text(replace(stuck(tmp_path), results=())))
    assert not {name for name, _ in found} & {"procman_broker_up", "procman_free_bytes", "procman_program_reserved"}


def test_most_severe_of_several_results_of_a_check_counts(tmp_path: Path) -> None:
    results = tuple(Result("PM603", None, level, "") for level in (Level.WARNING, Level.CRITICAL, Level.OK))
    found = series(as_text(replace(healthy(tmp_path), results=results)))
    assert value(found, "procman_check_level", program="", code="PM603") == Level.CRITICAL


@given(place=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_place_is_read_back_unchanged(place: str) -> None:
    odd: Health = replace(
        healthy(Path("/srv")), results=(Result("PM603", None, Level.OK, "", values={f"free_mib_{place}": 1.0}),)
    )
    read = [sample for family in read_openmetrics(as_text(odd)) for sample in family.samples]
    assert [each.labels["place"] for each in read if each.name == "procman_free_bytes"] == [place]


def test_accepted_warnings_count_as_ok_and_are_counted(tmp_path: Path) -> None:
    base = healthy(tmp_path)
    found = (*base.results, Result("PM601", None, Level.OK, "edited", accepted=True))
    accepting = replace(base, manifest=replace(base.manifest, accept=("PM601",)), results=found)
    read = series(as_text(accepting))
    assert value(read, "procman_level") == Level.OK
    assert value(read, "procman_accepted_warnings") == 1
    assert "procman_accepted_warnings" not in {name for name, _ in series(as_text(base))}
