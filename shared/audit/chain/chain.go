// Package chain knows how the events of the audit hang together by their hashes, and checks that they still do. It works on events as
// the API lists them, whole or as an account is shown them, and needs neither AWS nor the Contact Center: who checks an audit with it
// trusts nobody who keeps the audit.
//
// The events that concern one account, and those of the operator's own affairs, are one chain each. An event says which it is of
// its chain (sequence, from 1), what the hash of the one before is (previous_hash, sixty-four zeros for the first) and its own hash: SHA-256
// over the canonical form (RFC 8785) of the event as JSON without its hash.
//
// What an account is not shown of an event is under that hash too: instead of those members, the event has withheld_hash, SHA-256
// over the canonical form of an object with them and with withheld_salt, 32 random hexadecimal digits, without which
// a short value could be guessed. So both who sees the whole and who sees a part come to the same hash.
package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Record is one event, as the API lists it and encoding/json decodes it into an any.
type Record = map[string]any

// Members of a record that make the chain.
const (
	Sequence     = "sequence"
	PreviousHash = "previous_hash"
	HashMember   = "hash"
	WithheldHash = "withheld_hash"
	WithheldSalt = "withheld_salt"
)

// Start is the previous_hash of the first event of a chain.
const Start = "0000000000000000000000000000000000000000000000000000000000000000"

const (
	memberID     = "id"
	memberActor  = "actor"
	memberKind   = "kind"
	kindUser     = "user"
	memberBefore = "before"
	memberAfter  = "after"
)

var errUnproven = errors.New("audit record: it has members that are withheld from accounts, and no salt to check them with")

// Withhold splits a record into what the account that it concerns is shown, and what it is not: who of the operator's, or what part of
// the Contact Center, it was, from where and in which request, and whatever names a complaint. Neither has anything of the chain's
// hash or of withheld_hash and withheld_salt, and none is changed.
func Withhold(r Record) (shown, withheld Record) {
	shown, withheld = maps.Clone(r), Record{}
	for _, name := range []string{HashMember, WithheldHash, WithheldSalt} {
		delete(shown, name)
	}
	move(shown, withheld, "complaint_id")
	for _, name := range []string{memberBefore, memberAfter} {
		split(shown, withheld, name, func(key string) bool { return strings.Contains(key, "complain") || strings.Contains(key, "claim") })
	}
	if actor, _ := r[memberActor].(map[string]any); actor[memberKind] != kindUser {
		split(shown, withheld, memberActor, func(key string) bool { return key == memberID })
		move(shown, withheld, "request_id")
		move(shown, withheld, "source_ip")
	}
	return shown, withheld
}

func move(from, to Record, name string) {
	if v, ok := from[name]; ok {
		to[name] = v
		delete(from, name)
	}
}

// split moves the keys of an object that are withheld; an object without keys is left out.
func split(shown, withheld Record, name string, secret func(key string) bool) {
	all, ok := shown[name].(map[string]any)
	if !ok {
		return
	}
	open, hidden := map[string]any{}, map[string]any{}
	for key, v := range all {
		if secret(key) {
			hidden[key] = v
		} else {
			open[key] = v
		}
	}
	if delete(shown, name); len(open) > 0 {
		shown[name] = open
	}
	if len(hidden) > 0 {
		withheld[name] = hidden
	}
}

// HashWithheld gives the withheld_hash of a record: of what it has itself, if it is whole; otherwise what it says, "" for a record of
// which nothing is withheld.
func HashWithheld(r Record) (string, error) {
	_, withheld := Withhold(r)
	salt := text(r, WithheldSalt)
	switch {
	case salt != "":
		withheld[WithheldSalt] = salt
		return sum(withheld)
	case len(withheld) > 0:
		return "", errUnproven
	}
	return text(r, WithheldHash), nil
}

// Hash gives the hash that a record must have, in hexadecimal digits. It says nothing of the hash that the record has.
func Hash(r Record) (string, error) {
	withheld, err := HashWithheld(r)
	if err != nil {
		return "", err
	}
	shown, _ := Withhold(r)
	if withheld != "" {
		shown[WithheldHash] = withheld
	}
	return sum(shown)
}

func sum(v any) (string, error) {
	b, err := Canonical(v)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), nil
}

// Link is a place in a chain: how far it was checked, or one that somebody wrote down to come back to. The zero Link is the
// place before the first event.
type Link struct {
	Sequence int64  `json:"sequence"`
	ID       string `json:"id"`
	Hash     string `json:"hash"`
}

// Whys of what is broken.
const (
	// Changed: the event does not have the hash of what it says.
	Changed = "changed"
	// Missing: there is no event of that place.
	Missing = "missing"
	// Unlinked: the event does not name the hash of the one before.
	Unlinked = "unlinked"
	// Unplaced: the event is not one of the chain, and not older than it, or its place is another event's.
	Unplaced = "unplaced"
	// Replaced: the event is not the one that was written at its place.
	Replaced = "replaced"
)

// Broken is where a chain does not hold.
type Broken struct {
	// ID is the event's; "" for one that is missing and whose id nothing tells.
	ID string `json:"id,omitempty"`
	// Sequence is its place; 0 for an event that has none.
	Sequence int64 `json:"sequence,omitempty"`
	// Why is Changed, Missing, Unlinked, Unplaced or Replaced.
	Why string `json:"why"`
}

// Next checks that a record is the one after a place, and gives its place.
func Next(after Link, r Record) (Link, *Broken) {
	at := linkOf(r)
	broken := func(why string) (Link, *Broken) { return after, &Broken{ID: at.ID, Sequence: at.Sequence, Why: why} }
	want, err := Hash(r)
	previous := after.Hash
	if after.Sequence == 0 {
		previous = Start
	}
	switch {
	case at.Sequence == 0:
		return broken(Unplaced)
	case err != nil || at.Hash != want || !proper(r):
		return broken(Changed)
	case at.Sequence > after.Sequence+1:
		return after, &Broken{Sequence: after.Sequence + 1, Why: Missing}
	case at.Sequence <= after.Sequence:
		return broken(Unplaced)
	case text(r, PreviousHash) != previous:
		return broken(Unlinked)
	}
	return at, nil
}

// proper reports whether a whole record says what its withheld members give; its hash does not depend on what it says.
func proper(r Record) bool {
	given, ok := r[WithheldHash]
	if !ok || text(r, WithheldSalt) == "" {
		return true
	}
	want, err := HashWithheld(r)
	return err == nil && given == want
}

// Report is what became of a check.
type Report struct {
	// Verified says that nothing is broken.
	Verified bool
	// Events is how many were found to be in order; From and To are the first of them and the last, 0 if there is none. HeadHash is the
	// hash of the last; who writes it and To down can prove later that nothing was taken away or changed up to there.
	Events   int
	From, To int64
	HeadHash string
	// Unchained is how many events are older than the chain: nothing can be said of them.
	Unchained int
	// FirstBroken is the first place that does not hold.
	FirstBroken *Broken
}

// Verify checks records of one chain, in any order, that follow a place: all of a chain follow the zero Link. A known head is
// one that the chain must have reached, as somebody told before; the zero Link if none is known.
func Verify(records []Record, after, known Link) Report {
	list := slices.SortedStableFunc(slices.Values(records), byPlace)
	var out Report
	for len(list) > 0 && linkOf(list[0]).Sequence == 0 {
		if broken := unchained(list[0], list[1:], after); broken != nil {
			return out.broken(broken)
		}
		out.Unchained++
		list = list[1:]
	}
	at := after
	for _, r := range list {
		next, broken := Next(at, r)
		if broken == nil && next.Sequence == known.Sequence && next.Hash != known.Hash {
			broken = &Broken{ID: next.ID, Sequence: next.Sequence, Why: Replaced}
		}
		if broken != nil {
			return out.broken(broken)
		}
		at = next
		out.Count(at)
	}
	if at.Sequence < known.Sequence {
		missing := &Broken{Sequence: at.Sequence + 1, Why: Missing}
		if missing.Sequence == known.Sequence {
			missing.ID = known.ID
		}
		return out.broken(missing)
	}
	out.Verified = true
	return out
}

// Count takes an event that is in order into the report.
func (r *Report) Count(at Link) {
	if r.Events++; r.From == 0 {
		r.From = at.Sequence
	}
	r.To, r.HeadHash = at.Sequence, at.Hash
}

func (r Report) broken(b *Broken) Report {
	r.Verified, r.FirstBroken = false, b
	return r
}

// byPlace sorts by place, and what has none by id.
func byPlace(a, b Record) int {
	x, y := linkOf(a), linkOf(b)
	if x.Sequence != y.Sequence {
		return int(max(-1, min(1, x.Sequence-y.Sequence)))
	}
	return strings.Compare(x.ID, y.ID)
}

// unchained judges an event without a place: it may only be older than the chain, and none of a chain's later part is.
func unchained(r Record, others []Record, after Link) *Broken {
	id := linkOf(r).ID
	i := slices.IndexFunc(others, func(o Record) bool { return linkOf(o).Sequence != 0 })
	if after.Sequence > 0 || i >= 0 && id > linkOf(others[i]).ID {
		return &Broken{ID: id, Why: Unplaced}
	}
	return nil
}

func linkOf(r Record) Link {
	return Link{Sequence: whole(r, Sequence), ID: text(r, memberID), Hash: text(r, HashMember)}
}

func text(r Record, name string) string {
	s, _ := r[name].(string)
	return s
}

func whole(r Record, name string) int64 {
	switch n := r[name].(type) {
	case float64:
		return int64(n)
	case int64:
		return n
	case json.Number:
		i, _ := n.Int64() // 0: no place
		return i
	}
	return 0
}
