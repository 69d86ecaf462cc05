package scan

import (
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

func slotOf(text string) registry.Slot {
	switch text {
	case "champion":
		return registry.Champion
	case "challenger":
		return registry.Challenger
	case "shadow":
		return registry.Shadow
	case "previous":
		return registry.Previous
	case "pinned":
		return registry.Pinned
	}
	return ""
}

func roleOf(text string) capture.Role {
	switch text {
	case "served":
		return capture.Served
	case "paired":
		return capture.Paired
	}
	return ""
}
