package replay

import (
	"fmt"
	"regexp"
)

// Entry is one reviewed difference, or several of one reason: each text is a
// pattern that must match the whole of the difference's member; "" matches all.
type Entry struct {
	File, At, Kind, Path, Theirs, Ours, After string
	// Most is how many differences of one transcript it is about; 0 is any number.
	Most   int
	Reason string
}

// matches tells whether an entry is about a difference.
func (e Entry) matches(d Difference) bool {
	for _, x := range [][2]string{{e.File, d.File}, {e.At, d.At}, {e.Kind, d.Kind}, {e.Path, d.Path}, {e.Theirs, d.Theirs}, {e.Ours, d.Ours}, {e.After, d.After}} {
		if x[0] != "" && !regexp.MustCompile("(?s)^(?:"+x[0]+")$").MatchString(x[1]) {
			return false
		}
	}
	return true
}

// Allowed says why an entry may not stand in a reviewed list: codes, names and
// types of members are the contract. Answers -32603 and dropped connections of the
// original are its accidents.
func (e Entry) Allowed() error {
	switch {
	case e.Reason == "":
		return fmt.Errorf("no reason: %+v", e)
	case e.Kind == "":
		return fmt.Errorf("no kind: %+v", e)
	case e.Kind == Code && e.Theirs != "-32603", e.Kind == Field, e.Kind == Type:
		return fmt.Errorf("a %s is no matter of opinion: %+v", e.Kind, e)
	}
	return nil
}

// Sort splits differences of one transcript into those without an entry and, per entry, how many
// matched it.
func Sort(list []Difference, reviewed []Entry) (open []Difference, used []int) {
	used = make([]int, len(reviewed))
next:
	for _, d := range list {
		for i, e := range reviewed {
			if (e.Most == 0 || used[i] < e.Most) && e.matches(d) {
				used[i]++
				continue next
			}
		}
		open = append(open, d)
	}
	return open, used
}
