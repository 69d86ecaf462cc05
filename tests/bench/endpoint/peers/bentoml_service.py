"""A BentoML service:  bentoml serve bentoml_service:Flights"""

import bentoml
import flights


@bentoml.service(logging={"access": {"enabled": False}})
class Flights:
    def __init__(self):
        flights.load()

    @bentoml.api
    def infer(self, inputs: list[dict]) -> dict:
        return {"outputs": flights.infer(inputs)}
