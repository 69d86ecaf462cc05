"""Writes the model in MLflow's ONNX flavour:  python mlflow_model.py MODEL.onnx OUT_DIR"""

import shutil
import sys

import mlflow.onnx
import onnx

shutil.rmtree(sys.argv[2], ignore_errors=True)
mlflow.onnx.save_model(onnx.load(sys.argv[1]), sys.argv[2])
