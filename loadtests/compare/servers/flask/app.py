"""A guarded prediction service as tutorials of Flask's extensions would have it."""

import secrets

import numpy as np
from flask import Flask, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required
from flask_limiter import Limiter
from predictor import load

app = Flask(__name__)
app.config.update(JWT_SECRET_KEY=secrets.token_hex(32), JWT_ACCESS_TOKEN_EXPIRES=86400)
JWTManager(app)
limiter = Limiter(get_jwt_identity, app=app, storage_uri="memory://")
predict = load()


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/login")
def login() -> dict[str, str]:
    return {"access_token": create_access_token("shop")}


@app.post("/predict")
@jwt_required()
@limiter.limit("999999999/minute")
def classes() -> dict[str, list[int]]:
    return {"classes": predict(np.array(request.get_json()["rows"], dtype=np.float32)).tolist()}
