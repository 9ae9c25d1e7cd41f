package congestion

const (
	budgetShare = 10      // one part in this many of what was sent may be sent again
	budgetPurse = 256_000 // bytes that can be saved up for a burst of loss
	budgetStart = budgetPurse / 4
)

// Budget bounds what is sent again because a peer asked for it: a tenth of what
// was sent, and what has been saved up in a purse of 256 kB, of which a quarter is
// there from the beginning. However many NACKs a peer sends, it gets no more.
// The zero value is ready.
type Budget struct {
	spent int // bytes, below the start; negative: saved up above it
}

// Earn counts a media packet of size bytes that was sent for the first time.
func (b *Budget) Earn(size int) {
	b.spent = max(b.spent-max(size, 0)/budgetShare, budgetStart-budgetPurse)
}

// Spend asks for size bytes to be sent again, and takes them from the purse.
// False: it is empty, do not send.
func (b *Budget) Spend(size int) bool {
	if size < 0 || b.spent+size > budgetStart {
		return false
	}
	b.spent += size
	return true
}
