package recorder

import (
	"fmt"
	"os"

	"github.com/govidu/govidu/internal/proof"
)

// proveRecovered goes on with the log of a file that Repair has finished: hashes
// for what the dead process had not got to, and the gaps between what it had
// heard and what is there.
func proveRecovered(root *os.Root, name string, disk *os.File, m *Manifest, s Summary) error {
	p, logged, err := resumeProver(root, name, disk, *m)
	if err != nil {
		return err
	}
	st, err := disk.Stat()
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	// Stretches that the disk does not have any more are missing; the hashes go on
	// where the last whole one ends.
	whole := 0
	for whole < len(logged) && logged[whole].To <= st.Size() {
		whole++
	}
	if whole > 0 {
		p.seg.at = logged[whole-1].To
	}
	p.missing(m, s, logged, proof.CauseCrash)
	var notes []note
	for _, g := range m.Gaps {
		if g.Cause == proof.CauseCrash {
			notes = append(notes, note{proof.TypeGap, g})
		}
	}
	err = p.step(notes, true)
	m.Status = Recovered
	if cerr := p.close(m); err == nil {
		err = cerr
	}
	m.Status = Recording // publish says the last word
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	return nil
}
