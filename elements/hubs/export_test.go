package hubs

// AvatarColor is the ground of an avatar.
func AvatarColor(id string) (r, g, b uint8) {
	c, _ := colors(id)
	return c.R, c.G, c.B
}
