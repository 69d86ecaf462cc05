"""Training: a CSV file and a schema in, an ONNX model and the evidence for it out.

The package is one program behind two entries: `handler.py` (Lambda) and
`training.sagemaker` (the SageMaker training contract). Both call
`training.run.train`, which knows neither S3 nor folders.

What it is not: a feature store, a search over hyperparameters, or a place where
anything is served. No other function imports it; register takes its files.

Invariant: one set of inputs, hyperparameters and package versions gives one
sequence of bytes for model.onnx, holdout.csv and predictions.csv. So nothing here
reads the clock, the environment or unordered sets on the way to those files.

Order of imports, downward only:

    handler, sagemaker      entries
    service, storage        payload and S3
    run                     the steps in order
    data schema target split pipeline convert evaluate features output
    hyperparameters fault
"""
