package elements

import (
	"log/slog"

	"github.com/govidu/govidu/pipeline"
)

// Env is what a constructor gets of the world it is born into.
type Env struct {
	// ID is the new object's id, "<parent id>/<uuid>_kurento.<Type>".
	ID string
	// Pipeline is the graph the object belongs to; for a MediaPipeline it is
	// the new, empty one.
	Pipeline *pipeline.Pipeline
	// Parent is the object named by the first reference among the parameters;
	// nil for a MediaPipeline.
	Parent Object
	// Emit raises an event of the object: fields is the event's struct, or nil.
	// It never blocks and keeps order per object; source, tags, timestampMillis
	// and type are added. After the object's release it does nothing.
	Emit func(event string, fields any)
	// Log has pipelineId and elementId bound; nil is slog.Default's discard.
	Log *slog.Logger
}
