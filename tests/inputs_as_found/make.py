"""Writes the files of this folder with the programs people use: pandas, datasets, openai. Run once, by hand (see README.md)."""

import csv
import json
from pathlib import Path

import datasets
import openai
import pandas as pd
from openai.lib._parsing import type_to_response_format_param
from pydantic import BaseModel

HERE = Path(__file__).parent
ROWS = [
    {"uuid": "a-1", "question": 'Say "hi", then stop.', "lang": "en", "score": 0.25},
    {"uuid": "a-2", "question": "第一行\n第二行", "lang": "zh", "score": None},
    {"uuid": "a-3", "question": "café; 50 % / 3,5", "lang": "fr", "score": 3.5},
]
MESSAGES = [{"role": "user", "content": "晚上好"}, {"role": "assistant", "content": "晚上好！"}]
TRANSLATION = [{"translation": {"en": "Good evening.", "zh": "晚上好。"}}, {"translation": {"en": "Thanks!", "zh": "谢谢！"}}]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


def by_pandas() -> None:
    frame = pd.DataFrame(ROWS)
    frame["asked_at"] = pd.Timestamp("2026-01-02T03:04:05Z")
    frame.to_json(HERE / "pandas.jsonl", orient="records", lines=True)
    frame.to_csv(HERE / "pandas.csv")
    frame.to_csv(HERE / "pandas.tsv.gz", sep="\t", index=False)
    frame.to_parquet(HERE / "pandas.parquet", index=False)


def by_datasets() -> None:
    datasets.Dataset.from_list(TRANSLATION).to_json(HERE / "datasets.jsonl", force_ascii=False)
    datasets.Dataset.from_list(TRANSLATION).to_parquet(HERE / "datasets.parquet")
    datasets.Dataset.from_list([{"messages": MESSAGES}]).to_json(HERE / "datasets_chat.jsonl")


def by_openai() -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": MESSAGES[:1],
        "tools": [openai.pydantic_function_tool(Weather)],
        "response_format": type_to_response_format_param(Weather),
    }
    line = {"custom_id": "request-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (HERE / "openai_batch.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")


def like_excel(name: str, delimiter: str) -> None:
    """'CSV UTF-8' of Excel: a byte order mark, CRLF, quotes only where needed; semicolons where the comma is decimal."""
    with (HERE / name).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, dialect="excel", delimiter=delimiter)
        writer.writerow(["uuid", "question", "lang", "score"])
        writer.writerows(
            [str(value).replace(".", ",") if isinstance(value, float) else value for value in row.values()] for row in ROWS
        )


def like_powershell() -> None:
    """`>` of Windows PowerShell 5.1 writes UTF-16 with a mark, `Out-File -Encoding utf8` UTF-8 with one; both CRLF."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS)
    (HERE / "powershell_utf16.jsonl").write_bytes(text.encode("utf-16"))
    (HERE / "powershell_utf8.jsonl").write_bytes(text.encode("utf-8-sig"))


if __name__ == "__main__":
    by_pandas()
    by_datasets()
    by_openai()
    like_excel("excel.csv", ",")
    like_excel("excel_semicolons.csv", ";")
    like_powershell()
