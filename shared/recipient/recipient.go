// Package recipient knows End recipients: what an account entered of them, which consents it holds, who opted out of
// which channel, and how all that is kept of a person is erased. It holds only what the account entered; nothing is
// looked up elsewhere and nothing is guessed.
package recipient

import (
	"errors"
	"strings"
	"time"
)

var (
	// ErrNotFound: the account has no such recipient.
	ErrNotFound = errors.New("recipient not found")
	// ErrTaken: an address belongs to another recipient of the account.
	ErrTaken = errors.New("address belongs to another recipient")
	// ErrErasing: the recipient with this address is being erased.
	ErrErasing = errors.New("recipient is being erased")
	// ErrTooMany: so many addresses can't get all the opt-outs of their recipient in one write.
	ErrTooMany = errors.New("too many addresses and opt-outs at once")
	// ErrChanged: the recipient changed meanwhile.
	ErrChanged = errors.New("recipient changed meanwhile")
)

// Bounds of what is kept of one recipient.
const (
	MaxAddresses = 20
	MaxConsents  = 100
	// MaxAddress bounds an address, in bytes.
	MaxAddress = 320
)

// Origin says where a recipient's data comes from.
type Origin string

// The origins.
const (
	// Entered: the account entered the recipient by itself.
	Entered Origin = "account"
	// Conversed: the account wrote to the address, or the address wrote to it.
	Conversed Origin = "conversation"
)

// Recipient is what an account keeps of one End recipient.
type Recipient struct {
	AccountID, ID string
	// Addresses are telephone numbers, e-mail addresses and providers' user ids, exactly as they were entered.
	Addresses []string
	// Name is "" when none was entered.
	Name                 string
	Origin               Origin
	CreatedAt, UpdatedAt time.Time
	CreatedBy            string

	version int64
}

// ConsentStatus says whether a consent holds.
type ConsentStatus string

// The statuses of a consent.
const (
	Given     ConsentStatus = "given"
	Withdrawn ConsentStatus = "withdrawn"
)

// Consent is what an account says of a recipient's consent, for one channel and one purpose. It is the account's own
// word: sending does not depend on it.
type Consent struct {
	ChannelID  string        `json:"channel_id"`
	Purpose    string        `json:"purpose"`
	Status     ConsentStatus `json:"status"`
	Source     string        `json:"source"`
	ObtainedAt time.Time     `json:"obtained_at"`
	// ProofReference is where the account keeps its proof.
	ProofReference string `json:"proof_reference,omitempty"`
}

// OptOutSource says who made an opt-out.
type OptOutSource string

// The sources of opt-outs.
const (
	ByAccount   OptOutSource = "account"
	ByRecipient OptOutSource = "recipient"
	ByProvider  OptOutSource = "provider"
)

// OptOut says that a recipient is not to be written to on a channel.
type OptOut struct {
	ChannelID string
	Since     time.Time
	Source    OptOutSource
}

// AddressProblem says what is wrong with an address, "" when nothing is. Which kind of address it is can only be told
// by its form; it is never repaired.
func AddressProblem(address string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	switch {
	case address == "" || strings.TrimSpace(address) != address:
		return "must not be empty, or begin or end with a blank"
	case len(address) > MaxAddress || strings.ContainsFunc(address, control):
		return "is too long, or holds control characters"
	case address[0] == '+' && !E164(address):
		return "begins with + and is no E.164 number: 7 to 15 digits, country code first, without blanks"
	case strings.Contains(address, "@") && strings.ContainsAny(address, " <>,;"):
		return "must be one e-mail address without a name"
	}
	return ""
}

// E164 reports whether s is a telephone number in E.164 form.
func E164(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}
