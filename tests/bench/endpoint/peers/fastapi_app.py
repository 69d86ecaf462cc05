"""A minimal FastAPI service, as one would write it by hand:  uvicorn fastapi_app:app"""

import flights
from fastapi import FastAPI, Request

app = FastAPI()
flights.load()


@app.get("/ready")
async def ready():
    return {}


@app.post("/infer")
async def infer(request: Request):
    return {"outputs": flights.infer((await request.json())["inputs"])}
