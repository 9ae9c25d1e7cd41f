// Package all is the visible table of every type in this build. Nothing
// registers itself: what is not named here does not exist.
package all

import (
	"slices"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
)

// Deps is what the families need of the process.
type Deps struct{}

// Types lists every type of this build.
func Types(_ Deps) []elements.Type {
	return slices.Concat(
		elements.Types(), // abstract ancestors, MediaPipeline
		core.Types(),     // PassThrough
	)
}
