"""An agent that answers from documents: it finds the passages nearest to the question and lets the model use them."""

import functools
import math

from openai import OpenAI

from pytest_agenttape import retrieval

MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
HANDBOOK = [
    "Employees may work remotely up to three days a week.",
    "Expenses above 50 euros need the approval of a manager.",
    "Dogs are welcome in the office on Fridays.",
    "Holiday requests are answered within five working days.",
]
PROMPT = """Answer from this context only.

Context:
{context}

Question: {question}"""


def embed(texts: list[str]) -> list[list[float]]:
    """Return the embeddings of *texts*."""
    found = OpenAI().embeddings.create(model=EMBEDDING_MODEL, input=texts, dimensions=256)
    return [each.embedding for each in found.data]


@functools.cache
def index() -> list[list[float]]:
    """Return the handbook's embeddings; yours would be in a vector database."""
    return embed(HANDBOOK)


@retrieval
def find_passages(question: str, limit: int = 2) -> list[str]:
    """Return the passages nearest to *question*; the embedding calls made here belong to the retrieval."""
    (wanted,) = embed([question])
    by_distance = sorted(zip(HANDBOOK, index(), strict=True), key=lambda each: math.dist(wanted, each[1]))
    return [passage for passage, _ in by_distance[:limit]]


def answer(question: str) -> str:
    """Answer *question* from the handbook."""
    context = "\n".join(f"- {passage}" for passage in find_passages(question))
    prompt = PROMPT.format(context=context, question=question)
    completion = OpenAI().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
    return completion.choices[0].message.content or ""


if __name__ == "__main__":
    print(answer("How many days a week may I work remotely?"))
