package congestion

const (
	budgetShare = 8       // percent of what was sent that may be sent again
	budgetMost  = 50      // percent that may be sent again, however much is lost
	budgetPurse = 256_000 // bytes that can be saved up for a burst of loss
	budgetStart = budgetPurse / 4
)

// Budget bounds what is sent again because a peer asked for it: 8 % of what
// was sent, and what has been saved up in a purse of 256 kB, of which a quarter is
// there from the beginning. However many NACKs a peer sends, it gets no more, unless
// Lossy says so.
// The zero value is ready.
type Budget struct {
	spent int // bytes, below the start; negative: saved up above it
	share int // percent of what is sent, 0 for the usual
}

// Lossy makes the budget fit a way on which so much is lost, a share from 0 to 1:
// what is lost has to be sent again, that may be lost again, and is asked for twice
// at times. More than a half it is never.
func (b *Budget) Lossy(loss float64) {
	if !(loss > 0) {
		loss = 0
	}
	b.share = int(min(max(budgetShare, 200*loss), budgetMost))
}

// Earn counts a media packet of size bytes that was sent for the first time.
func (b *Budget) Earn(size int) {
	b.spent = max(b.spent-max(size, 0)*max(b.share, budgetShare)/100, budgetStart-budgetPurse)
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
