package evidence

import (
	"encoding/json"
	"errors"
	"fmt"

	"contactcenter/shared/audit/chain"
	"contactcenter/shared/sign"
)

var (
	// ErrFormat: it is signed, and of a format or content that this version does not know.
	ErrFormat = errors.New("it is of a format that is not known here")
	// ErrIncomplete: parts of a bundle are missing.
	ErrIncomplete = errors.New("the bundle is not complete")
	// ErrParts: the parts don't belong together, or not in this order.
	ErrParts = errors.New("the parts do not belong together")
	// ErrContent: a part says something that it can't have from its own account and recipient.
	ErrContent = errors.New("the bundle contradicts itself")
	// ErrChain: an audit event's hash is not that of the event, or of the one before it.
	ErrChain = errors.New("an audit event does not fit its hash")
)

// VerifyBundle checks all parts of a bundle, in their order: each signature, that every part follows the one before, that none is
// missing, and that they say what they announce. It gives what the parts say.
func VerifyBundle(keys sign.Keys, parts ...string) ([]Part, error) {
	if len(parts) == 0 {
		return nil, ErrIncomplete
	}
	out := make([]Part, len(parts))
	for i, jws := range parts {
		if err := read(keys, BundleType, jws, &out[i]); err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
		if err := follows(out[:i+1], parts[:i]); err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	if last := out[len(out)-1]; !last.Last || last.Totals == nil {
		return nil, fmt.Errorf("after part %d: %w", len(out), ErrIncomplete)
	}
	return out, consistent(out)
}

// follows checks that the last of some parts belongs behind the others, which were verified.
func follows(parts []Part, before []string) error {
	n := len(parts)
	p, first := parts[n-1], parts[0]
	previous := ""
	if n > 1 {
		previous = sign.Hash(before[n-2])
	}
	same := p.BundleID == first.BundleID && p.AccountID == first.AccountID && p.RecipientID == first.RecipientID && p.EvidenceRequestID == first.EvidenceRequestID &&
		p.GeneratedAt.Equal(first.GeneratedAt.Time) && samePeriod(p.Period, first.Period)
	switch {
	case p.Format != Format:
		return ErrFormat
	case n == 1 && p.Part > 1:
		return ErrIncomplete
	case !same || p.Part != n || p.PreviousSHA256 != previous || n > 1 && parts[n-2].Last:
		return ErrParts
	}
	return nil
}

func samePeriod(a, b *Period) bool {
	return a == nil && b == nil || a != nil && b != nil && a.From.Equal(b.From.Time) && a.To.Equal(b.To.Time)
}

// consistent checks that a bundle has what it announces: the number of messages and events, each once, of its account, its
// recipient's addresses and its period.
func consistent(parts []Part) error {
	first, totals := parts[0], *parts[len(parts)-1].Totals
	if first.Recipient == nil {
		return fmt.Errorf("%w: no recipient", ErrContent)
	}
	addresses := map[string]bool{}
	for _, a := range first.Recipient.Addresses {
		addresses[a] = true
	}
	seen := map[string]bool{}
	for _, p := range parts {
		for _, m := range p.Messages {
			at := m.CreatedAt.Time
			if seen[m.ID] || !addresses[m.Address] || at.After(first.GeneratedAt.Time) || first.Period != nil && (at.Before(first.Period.From.Time) || !at.Before(first.Period.To.Time)) {
				return fmt.Errorf("%w: message %s", ErrContent, m.ID)
			}
			seen[m.ID] = true
			totals.Messages--
		}
		for _, e := range p.AuditEvents {
			eventID, _ := e["id"].(string)
			if seen[eventID] || e["account_id"] != first.AccountID {
				return fmt.Errorf("%w: audit event %s", ErrContent, eventID)
			}
			seen[eventID] = true
			totals.AuditEvents--
		}
	}
	if totals != (Totals{}) {
		return fmt.Errorf("%w: it has not as many messages and audit events as it says", ErrContent)
	}
	return chained(parts)
}

// chained checks the hash of every audit event that has one, and that those which follow each other in the chain of the account are linked. A
// bundle has some events of the chain; that none is missing between them only the whole chain tells.
func chained(parts []Part) error {
	links := map[int64]chain.Record{}
	for _, p := range parts {
		for _, e := range p.AuditEvents {
			sequence, _ := e[chain.Sequence].(float64)
			if sequence == 0 {
				continue // older than the chain
			}
			hash, err := chain.Hash(e)
			if err != nil || e[chain.HashMember] != hash || links[int64(sequence)] != nil {
				return fmt.Errorf("%w: audit event %v", ErrChain, e["id"])
			}
			links[int64(sequence)] = e
		}
	}
	head := parts[0].AuditHead
	for sequence, e := range links {
		next, known := links[sequence+1]
		if known && next[chain.PreviousHash] != e[chain.HashMember] || head == nil || sequence > head.Sequence || sequence == head.Sequence && e[chain.HashMember] != head.Hash {
			return fmt.Errorf("%w: audit event %v", ErrChain, e["id"])
		}
	}
	return nil
}

// VerifyErasure checks the certificate that a recipient was erased.
func VerifyErasure(keys sign.Keys, jws string) (Erasure, error) {
	var e Erasure
	err := read(keys, ErasureType, jws, &e)
	if err == nil && e.Format != Format {
		err = ErrFormat
	}
	return e, err
}

// VerifyClosure checks the certificate that an account was purged.
func VerifyClosure(keys sign.Keys, jws string) (Closure, error) {
	var c Closure
	err := read(keys, ClosureType, jws, &c)
	if err == nil && c.Format != Format {
		err = ErrFormat
	}
	return c, err
}

func read(keys sign.Keys, typ, jws string, v any) error {
	d, err := keys.VerifyType(typ, jws)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(d.Payload, v); err != nil {
		return ErrFormat
	}
	return nil
}
