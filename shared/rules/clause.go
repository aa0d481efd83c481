package rules

import "slices"

// Clauses are the numbers of the clauses of the Rules.
func Clauses() []string {
	return []string{"1", "2", "3", "4", "4.1", "5", "6", "7", "8", "9", "9.1", "9.2", "9.3", "9.4", "10", "11", "12", "13", "14", "15"}
}

// Grounds reports whether a restriction can rest on this: a clause of the Rules, or a prohibited use of this version.
func (v Version) Grounds(clause string) bool {
	return slices.Contains(Clauses(), clause) || slices.ContainsFunc(v.ProhibitedUses, func(u ProhibitedUse) bool { return u.ID == clause })
}
