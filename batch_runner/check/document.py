"""An inspection for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_runner.check.remarks import remark_in_words
from batch_runner.models import family_of

if TYPE_CHECKING:
    from batch_runner.check.distribution import Distribution
    from batch_runner.check.inspection import Inspection
    from batch_runner.check.survey import Survey
    from batch_runner.findings import Finding

SCHEMA = 1
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}


def inspection_document(seen: Inspection) -> dict[str, Any]:
    """Everything that the lines for a person tell, and the same numbers."""
    plan, survey = seen.plan, seen.survey
    return {
        "schema": SCHEMA,
        "exit_status": int(seen.exit_status),
        "inputs": list(seen.order.inputs or ()),
        "output": None if seen.output is None else str(seen.output),
        "endpoint": seen.endpoint.host,
        "rows": {
            "input": plan.rows,
            "new": plan.new,
            "again": plan.again,
            "changed": plan.changed,
            "invalid": plan.bad,
            "refused": seen.refused_rows,
            "done": plan.rows - plan.to_send - plan.bad,
            "to_send": plan.to_send,
            "left_out": plan.left_out,
        },
        "again": [{"why": why, "rows": count} for why, count in survey.again.most_common()],
        "models": [{"model": model, "rows": count} for model, count in survey.models.most_common()],
        "invalid": [{"at": place.at, "reason": place.what} for place in plan.bad_lines],
        "repeated_ids": [
            {"id": row_id, "first": first, "again": plan.doubled[row_id]} for row_id, first in seen.first_places.items()
        ],
        "repeated_id_rows": plan.doubled_rows,
        "same_request_rows": survey.same_requests.rows,
        "same_requests": [place.at for place in survey.same_requests.places],
        "refused": _refused(seen.refused),
        "mended": [{"what": str(mend), "rows": count} for mend, count in plan.weighing.findings.mended.items()],
        "remarks": _remarks(survey),
        "prompt_tokens": {"counted": seen.counter.name, "exact": seen.counter.exact, **_spread(survey.tokens)},
        "cost": _cost(seen),
        "time": {
            "at_rpm_s": seen.forecast.at_rpm_s,
            "at_tpm_s": seen.forecast.at_tpm_s,
            "in_flight_s": seen.forecast.in_flight_s,
            "latency_s": seen.forecast.latency_s,
            "latency_measured": seen.forecast.measured,
            "deadline_s": None if seen.deadline_s is None else round(seen.deadline_s, 1),
        },
        "ending": [{"model": model, "day": day.isoformat()} for model, day in seen.ending.items()],
        "left_out": list(seen.left_out),
        "unreadable_lines": seen.unreadable_lines,
    }


def _refused(findings: list[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "model": finding.model,
            "what": finding.refusal.what,
            "rows": finding.named.rows,
            "message": finding.refusal.message,
            "fix": finding.refusal.fix,
            "mended_by_fix": finding.refusal.mend is not None,
            "at": [place.at for place in finding.named.places],
        }
        for finding in findings
    ]


def _remarks(survey: Survey) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "what": str(remark),
            "rows": named.rows,
            "message": remark_in_words(remark, model, family_of(model)),
            "at": [place.at for place in named.places],
        }
        for (model, remark), named in survey.remarks.items()
    ]


def _spread(tokens: Distribution) -> dict[str, Any]:
    return {
        "rows": tokens.count,
        "total": tokens.total,
        "min": tokens.least,
        **{name: tokens.quantile(share) for name, share in QUANTILES.items()},
        "max": tokens.most,
        "histogram": [{"from": bar.low, "to": bar.high, "rows": bar.count} for bar in tokens.bars()],
    }


def _cost(seen: Inspection) -> dict[str, Any]:
    prompts, at_caps = seen.forecast.prompts, seen.forecast.at_caps
    return {
        "prompts_usd": prompts.known,
        "at_caps_usd": at_caps.known,
        "unpriced": sorted(at_caps.unpriced),
        "prices": seen.prices.basis(at_caps),
        "limits": [
            {"flag": cap.flag, "limit": float(cap.limit), "used": float(cap.used), "may_be_reached": seen.may_reach(cap)}
            for cap in seen.caps
        ],
    }
