package layers

// Enter has a packet taken for the first of a keyframe, whatever its bytes say:
// whoever made it knows better.
func (i *Info) Enter() { i.Key, i.entry, i.Begin = true, true, true }
