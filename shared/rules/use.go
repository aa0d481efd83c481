package rules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// Agreement is how an account stands to a version.
type Agreement struct {
	// Accepted: the version is accepted already.
	Accepted bool
	// Earlier is the account's last acceptance, where using the Contact Center now would accept the version; else nil.
	Earlier *Acceptance
}

// Permits reports whether the account may send and activate.
func (a Agreement) Permits() bool { return a.Accepted || a.Earlier != nil }

// Agreement tells how an account stands to a version that is in force. No request when it is known to have accepted it, else
// one; one more where the version is accepted by use.
func (s *Store) Agreement(ctx context.Context, accountID string, v Version) (Agreement, error) {
	accepted, err := s.Accepted(ctx, accountID, v.Version)
	if err != nil || accepted || v.Acceptance() != Notice {
		return Agreement{Accepted: accepted}, err
	}
	last, _, err := s.Acceptances(ctx, accountID, attr.Page{Size: 1})
	if err != nil || len(last) == 0 {
		return Agreement{}, err
	}
	return Agreement{Earlier: &last[0]}, nil
}

// Use is an act of a user by which a version is accepted.
type Use struct {
	AccountID, UserID, SourceIP string
	At                          time.Time
}

// AcceptByUse records that an account accepted a version by using the Contact Center, in the capacity of its earlier
// acceptance. The first use is recorded, however many come at once: they all find the same record.
func (s *Store) AcceptByUse(ctx context.Context, v Version, earlier Acceptance, u Use) error {
	if v.Acceptance() != Notice {
		return errors.New("accept by use: this version must be accepted expressly")
	}
	acceptanceID, err := useID(u.AccountID, v, earlier)
	if err != nil {
		return fmt.Errorf("accept by use: %w", err)
	}
	return s.noteUse(ctx, Acceptance{
		ID: acceptanceID, AccountID: u.AccountID, RulesVersion: v.Version, Kind: ByUse, Documents: v.Plain(), Capacity: earlier.Capacity,
		LegalEntityName: earlier.LegalEntityName, UserID: u.UserID, SourceIP: u.SourceIP, At: u.At.UTC().Truncate(time.Millisecond),
	})
}

// useID is the id of the one acceptance by use that an account can have of a version. It sorts where the version came into
// force, or right behind the earlier acceptance where that is younger: a version may be published for a time that is past.
func useID(accountID string, v Version, earlier Acceptance) (string, error) {
	at := v.EffectiveAt
	if !at.After(earlier.At) {
		at = earlier.At.Add(time.Millisecond)
	}
	sum := sha256.Sum256([]byte(accountID + "#" + v.Version))
	source := id.Source{Now: func() time.Time { return at }, Random: bytes.NewReader(sum[:])}
	return source.New(id.AcceptancePrefix)
}
