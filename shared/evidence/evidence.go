// Package evidence knows the documents that an account keeps and shows to others: bundles of evidence about one recipient, in
// parts, and certificates of what was erased. It says what is in them and verifies them, as everybody can who has the keys. Where
// what they say is read from it does not know. Its types are the format: a field is added, never changed, as long as Format stays.
package evidence

import (
	"encoding/json"
	"fmt"
	"time"

	"contactcenter/shared/audit/chain"
	"contactcenter/shared/sign"
)

// Format is the version of what the documents say.
const Format = 1

// The types of signed documents, as their headers have them.
const (
	BundleType  = "contactcenter-evidence-bundle+jws"
	ErasureType = "contactcenter-erasure-certificate+jws"
	ClosureType = "contactcenter-closure-certificate+jws"
)

// Time is a time as the API writes it: RFC 3339, UTC, with milliseconds.
type Time struct{ time.Time }

const layout = "2006-01-02T15:04:05.000Z"

// At gives the time as it is written.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// Optional is At, or nil for the zero time.
func Optional(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	v := At(t)
	return &v
}

// MarshalJSON writes milliseconds always.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format(layout))
}

// String is the time as it is written.
func (t Time) String() string { return t.UTC().Format(layout) }

// Part is one part of a bundle. A bundle that fits into one part has one. Each names the hash of the one before it, so the hash of
// the last stands for all.
type Part struct {
	Format   int    `json:"format"`
	BundleID string `json:"bundle_id"`
	// Part counts from 1. PreviousSHA256 is sign.Hash of the part before, "" in the first.
	Part           int    `json:"part"`
	PreviousSHA256 string `json:"previous_sha256,omitempty"`
	Last           bool   `json:"last"`
	AccountID      string `json:"account_id"`
	RecipientID    string `json:"recipient_id"`
	// EvidenceRequestID is the operator's request that the bundle answers.
	EvidenceRequestID string `json:"evidence_request_id,omitempty"`
	// Period bounds the messages: those made from its beginning on and before its end. Without it all are there.
	Period *Period `json:"period,omitempty"`
	// GeneratedAt is when the first part was made: no message that came later is in the bundle. SignedAt is when this part was.
	GeneratedAt Time `json:"generated_at"`
	SignedAt    Time `json:"signed_at"`

	// These are in the first part only.
	Recipient   *Recipient   `json:"recipient,omitempty"`
	Consents    []Consent    `json:"consents,omitempty"`
	OptOuts     []OptOut     `json:"opt_outs,omitempty"`
	Acceptances []Acceptance `json:"acceptances,omitempty"`

	// AuditHead is where the chain of the account's audit events ended; missing where there is no chain yet.
	AuditHead *Head `json:"audit_head,omitempty"`

	Messages []Message `json:"messages"`
	// AuditEvents are as the account is shown them, so that their hashes can be checked.
	AuditEvents []chain.Record `json:"audit_events"`

	// Totals are of all parts, in the last one only.
	Totals *Totals `json:"totals,omitempty"`
}

// Period is a time from one moment on and before another.
type Period struct {
	From Time `json:"from"`
	To   Time `json:"to"`
}

// Totals say what all parts of a bundle have together.
type Totals struct {
	Messages    int `json:"messages"`
	AuditEvents int `json:"audit_events"`
}

// Recipient is whom a bundle is about: the addresses by which anybody else knows them, and no name.
type Recipient struct {
	Addresses []string `json:"addresses"`
	Source    string   `json:"source"`
	CreatedAt Time     `json:"created_at"`
	UpdatedAt Time     `json:"updated_at"`
}

// Consent is what the account recorded of a consent.
type Consent struct {
	ChannelID      string `json:"channel_id"`
	Purpose        string `json:"purpose"`
	Status         string `json:"status"`
	Source         string `json:"source"`
	ObtainedAt     Time   `json:"obtained_at"`
	ProofReference string `json:"proof_reference,omitempty"`
}

// OptOut says since when the recipient is not to be written to on a channel, and who said so.
type OptOut struct {
	ChannelID string `json:"channel_id"`
	Since     Time   `json:"since"`
	Source    string `json:"source"`
}

// Acceptance is the account's acceptance of a version of the Rules, with every document that it accepted by that.
type Acceptance struct {
	ID              string     `json:"id"`
	RulesVersion    string     `json:"rules_version"`
	Kind            string     `json:"kind"`
	Documents       []Document `json:"documents"`
	Capacity        string     `json:"capacity"`
	LegalEntityName string     `json:"legal_entity_name,omitempty"`
	UserID          string     `json:"user_id"`
	SourceIP        string     `json:"source_ip,omitempty"`
	AcceptedAt      Time       `json:"accepted_at"`
}

// Document is one document of a version of the Rules; "dpa" is the agreement on processing personal data.
type Document struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Message is a Business message without what it says.
type Message struct {
	ID             string `json:"id"`
	ConversationID string `json:"conversation_id"`
	ChannelID      string `json:"channel_id"`
	ProviderID     string `json:"provider_id"`
	Direction      string `json:"direction"`
	// Address is the recipient's that the conversation is with.
	Address           string        `json:"address"`
	Status            string        `json:"status"`
	ContentSHA256     string        `json:"content_sha256,omitempty"`
	ClientReference   string        `json:"client_reference,omitempty"`
	RulesVersion      string        `json:"rules_version,omitempty"`
	CreatedBy         string        `json:"created_by,omitempty"`
	CreatedAt         Time          `json:"created_at"`
	UpdatedAt         Time          `json:"updated_at"`
	ReplyTo           string        `json:"reply_to,omitempty"`
	Attempts          int           `json:"attempts"`
	ProviderMessageID string        `json:"provider_message_id,omitempty"`
	ErasedAt          *Time         `json:"erased_at,omitempty"`
	Error             *MessageError `json:"error,omitempty"`
	Timeline          []Step        `json:"timeline"`
	Transfer          *Transfer     `json:"transfer,omitempty"`
}

// MessageError says why a message came to a bad end, in codes.
type MessageError struct {
	Code         string `json:"code"`
	FaultDomain  string `json:"fault_domain"`
	ProviderCode string `json:"provider_code,omitempty"`
	Permanent    bool   `json:"permanent"`
}

// Step is one entry of a message's timeline.
type Step struct {
	Status string `json:"status"`
	At     Time   `json:"at"`
	Reason string `json:"reason,omitempty"`
}

// Transfer is the handing over of a message to its provider, and what that provider's entry disclosed at that time.
type Transfer struct {
	ProviderID      string   `json:"provider_id"`
	ProviderVersion int64    `json:"provider_version"`
	LegalEntity     string   `json:"legal_entity,omitempty"`
	TermsVersion    string   `json:"terms_version,omitempty"`
	Countries       []string `json:"countries"`
	CompletedAt     *Time    `json:"transfer_completed_at,omitempty"`
}

// Head is the newest place in the chain of an account's audit events (package chain). Whoever keeps it notices when anything before it is
// changed later.
type Head struct {
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
}

// Erasure is the certificate that a recipient was erased. It names the request and neither the recipient nor an address.
type Erasure struct {
	Format      int    `json:"format"`
	AccountID   string `json:"account_id"`
	ErasureID   string `json:"erasure_id"`
	RequestedAt Time   `json:"requested_at"`
	CompletedAt Time   `json:"completed_at"`
	// Erased counts what was erased, by kind.
	Erased ErasureCounts `json:"erased"`
	// Kept names what stays, without anything of the person.
	Kept []string `json:"kept"`
}

// ErasureCounts counts what an erasure took away. A job that was cut off may have counted too little.
type ErasureCounts struct {
	Recipients       int64 `json:"recipients"`
	Addresses        int64 `json:"addresses"`
	Consents         int64 `json:"consents"`
	Messages         int64 `json:"messages"`
	MessagesCanceled int64 `json:"messages_canceled"`
}

// Closure is the certificate that a closed account was purged.
type Closure struct {
	Format      int    `json:"format"`
	AccountID   string `json:"account_id"`
	RequestedAt Time   `json:"requested_at"`
	PurgedAt    Time   `json:"purged_at"`
	// ConfirmedAt is when a second look found nothing more; missing until then.
	ConfirmedAt *Time         `json:"confirmed_at,omitempty"`
	Purged      ClosureCounts `json:"purged"`
	Kept        []string      `json:"kept"`
}

// ClosureCounts counts what a purge took away. A purge that was cut off may have counted too little.
type ClosureCounts struct {
	Channels         int64 `json:"channels"`
	Conversations    int64 `json:"conversations"`
	Messages         int64 `json:"messages"`
	MessagesCanceled int64 `json:"messages_canceled"`
	// RecipientRecords are recipients, their addresses, consents, opt-outs and erasures.
	RecipientRecords int64 `json:"recipient_records"`
}

// Sign gives the part as a signed document.
func (p Part) Sign(k sign.Key) (string, error) {
	p.Format = Format
	return signed(k, BundleType, p)
}

// Sign gives the certificate as a signed document.
func (e Erasure) Sign(k sign.Key) (string, error) {
	e.Format, e.Kept = Format, []string{"message states without address, content and references", "opt-outs as keyed hashes", "audit events"}
	return signed(k, ErasureType, e)
}

// Sign gives the certificate as a signed document.
func (c Closure) Sign(k sign.Key) (string, error) {
	c.Format, c.Kept = Format, []string{"acceptances of the Rules", "audit events", "usage of closed periods", "complaints, evidence requests and appeals"}
	return signed(k, ClosureType, c)
}

func signed(k sign.Key, typ string, v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write document: %w", err)
	}
	return k.Sign(typ, b)
}
