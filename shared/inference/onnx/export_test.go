package onnx

// LoadLibrary is the loading behind Open, without its memory of what is loaded.
var LoadLibrary = load
