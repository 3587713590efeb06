"""A prediction service as FastAPI's documentation would have it: typed in and out, nothing else."""

import numpy as np
from fastapi import FastAPI
from predictor import load
from pydantic import BaseModel

app = FastAPI()
predict = load()


class Rows(BaseModel):
    rows: list[list[float]]


class Classes(BaseModel):
    classes: list[int]


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/predict")
async def classes(question: Rows) -> Classes:
    return Classes(classes=predict(np.array(question.rows, dtype=np.float32)).tolist())
