package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The heavy model: x FP32 [N, 64], eight hidden layers of 4,096 with ReLU, y FP32
// [N, 1]. It is 235 MFLOP a row: at its best batch two cores of a present server need
// more than half a millisecond for one, and at a batch of one as long as it takes to
// read half a gigabyte of weights.
const (
	heavyInput  = 64
	heavyHidden = 4096
	heavyLayers = 8
)

// Field numbers of onnx.proto.
const (
	modelIR, modelGraph, modelOpset      = 1, 7, 8
	graphNode, graphName, graphWeights   = 1, 2, 5
	graphInput, graphOutput              = 11, 12
	nodeInput, nodeOutput, nodeOp        = 1, 2, 4
	tensorDims, tensorType, tensorName   = 1, 2, 8
	tensorRaw                            = 9
	valueName, valueType, typeTensor     = 1, 2, 1
	elemType, elemShape, shapeDim        = 1, 2, 1
	dimValue, dimParam, opsetVersion     = 1, 2, 2
	onnxFloat, irVersion, operatorsSince = 1, 7, 13
)

// message is a protobuf message in the making.
type message []byte

func (m message) number(field protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) text(field protowire.Number, v string) message { return m.bytes(field, []byte(v)) }

// heavyModel is the ONNX file of the heavy model with as many hidden layers, of that
// width. The weights are the same each time.
func heavyModel(layers, hidden int) []byte {
	random := rand.New(rand.NewPCG(4096, 64)) // #nosec G404 -- weights
	widths := append(append([]int{heavyInput}, slices.Repeat([]int{hidden}, layers)...), 1)
	graph := message(nil).text(graphName, "heavy")
	x := "x"
	for i := range len(widths) - 1 {
		layer := string(rune('0' + i))
		out := "h" + layer
		if i == len(widths)-2 {
			out = "y"
		}
		graph = graph.bytes(graphNode, node("MatMul", "m"+layer, x, "w"+layer))
		if out == "y" {
			graph = graph.bytes(graphNode, node("Identity", out, "m"+layer))
		} else {
			graph = graph.bytes(graphNode, node("Relu", out, "m"+layer))
		}
		graph = graph.bytes(graphWeights, weights(random, "w"+layer, widths[i], widths[i+1]))
		x = out
	}
	graph = graph.bytes(graphInput, value("x", heavyInput)).bytes(graphOutput, value("y", 1))
	return message(nil).number(modelIR, irVersion).bytes(modelGraph, graph).bytes(modelOpset, message(nil).number(opsetVersion, operatorsSince))
}

func node(op, out string, in ...string) message {
	var m message
	for _, name := range in {
		m = m.text(nodeInput, name)
	}
	return m.text(nodeOutput, out).text(nodeOp, op)
}

func weights(random *rand.Rand, name string, rows, columns int) message {
	raw := make([]byte, 0, 4*rows*columns)
	scale := math.Sqrt(2 / float64(rows)) // so that layers neither fade nor grow
	for range rows * columns {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(scale*(2*random.Float64()-1)*math.Sqrt(3))))
	}
	return message(nil).number(tensorDims, uint64(rows)).number(tensorDims, uint64(columns)).number(tensorType, onnxFloat).text(tensorName, name).bytes(tensorRaw, raw)
}

func value(name string, width int) message {
	shape := message(nil).bytes(shapeDim, message(nil).text(dimParam, "N")).bytes(shapeDim, message(nil).number(dimValue, uint64(width)))
	return message(nil).text(valueName, name).bytes(valueType, message(nil).bytes(typeTensor, message(nil).number(elemType, onnxFloat).bytes(elemShape, shape)))
}

// heavyRow is the row of a caller, its numbers short in JSON.
func heavyRow(caller int) []float32 {
	row := make([]float32, heavyInput)
	for i := range row {
		row[i] = float32((caller*31+i*17)%200-100) / 100
	}
	return row
}
