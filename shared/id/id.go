// Package id knows the identifiers of the Contact Center: how they are made, how they are read, and that they sort
// by time. A message's id is an address: it holds the key of its conversation, so that one read finds the message
// and one query its conversation.
package id

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Prefixes of the kinds of ids.
const (
	MessagePrefix      = "msg_"
	ConversationPrefix = "cnv_"
	ChannelPrefix      = "chn_"
	AcceptancePrefix   = "acc_"
	AuditPrefix        = "aud_"
	InstructionPrefix  = "ins_"
	RecipientPrefix    = "rcp_"
	ExportPrefix       = "exp_"
	ErasurePrefix      = "ers_"
	BundlePrefix       = "evb_"
	ComplaintPrefix    = "cmp_"
	EvidencePrefix     = "evr_"
	RestrictionPrefix  = "rst_"
	AppealPrefix       = "apl_"
	EventPrefix        = "evt_"
	EndpointPrefix     = "whk_"
)

// ErrMalformed: the text is no id of the kind asked for.
var ErrMalformed = errors.New("malformed id")

const (
	partBytes = 10 // 48 bits of milliseconds and 32 random bits, or a conversation's key
	partChars = 16
	// timeLength is how many bytes the milliseconds have.
	timeLength = 6
	// alphabet is Crockford's, in lower case: its order is ASCII's, so ids sort as their bytes do.
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

func encoding() *base32.Encoding { return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding) }

// Source makes new ids. It is safe for concurrent use when its Random is.
type Source struct {
	Now    func() time.Time
	Random io.Reader
}

// New gives an id of the prefix's kind that sorts after every id of an earlier millisecond.
func (s Source) New(prefix string) (string, error) {
	u, err := s.unique()
	return prefix + u, err
}

// Derived gives an id of the prefix's kind that sorts by a time and follows from that time and a text of parts: the same
// again for the same.
func Derived(prefix string, at time.Time, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		writePart(h, part)
	}
	return prefix + encoding().EncodeToString(append(timeBytes(at), h.Sum(nil)[:partBytes-timeLength]...))
}

// Floor gives the least id of the prefix's kind that can have been made at a time. Ids of earlier times sort before it.
func Floor(prefix string, at time.Time) string {
	return prefix + encoding().EncodeToString(append(timeBytes(at), make([]byte, partBytes-timeLength)...))
}

func timeBytes(at time.Time) []byte {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	return append([]byte(nil), ms[8-timeLength:]...)
}

func writePart(w io.Writer, part string) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(part)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = io.WriteString(w, part)
}

// NewMessage gives the id of a new message in a conversation.
func (s Source) NewMessage(conversation string) (Message, error) {
	if !validPart(conversation) {
		return Message{}, fmt.Errorf("new message id: conversation key: %w", ErrMalformed)
	}
	b, err := s.bytes()
	if err != nil {
		return Message{}, err
	}
	b[timeLength] &^= ofBatch
	return Message{Unique: encoding().EncodeToString(b[:]), Conversation: conversation}, nil
}

func (s Source) unique() (string, error) {
	b, err := s.bytes()
	return encoding().EncodeToString(b[:]), err
}

func (s Source) bytes() (b [partBytes]byte, err error) {
	copy(b[:], timeBytes(s.Now()))
	if _, err := io.ReadFull(s.Random, b[timeLength:]); err != nil {
		return b, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}

// ofBatch is the bit after a message's time that tells whether it came in a batch.
const ofBatch = 0x80

// Batch names the messages of one request, in their order: the same batch gives the same ids again.
type Batch struct {
	// Unique is like a message's.
	Unique string
}

// BatchSize is how many messages a batch can name.
const BatchSize = 256

// NewBatch gives a new batch.
func (s Source) NewBatch() (Batch, error) {
	b, err := s.bytes()
	b[timeLength] |= ofBatch
	return Batch{encoding().EncodeToString(b[:])}, err
}

// ParseBatch reads what Unique was. It returns ErrMalformed for anything else.
func ParseBatch(s string) (Batch, error) {
	if !validPart(s) {
		return Batch{}, ErrMalformed
	}
	return Batch{s}, nil
}

// Time is when the batch was made, to the millisecond.
func (b Batch) Time() time.Time { return timeOf(b.Unique) }

// Message gives the id of the batch's message at an index below BatchSize. The ids sort by index.
func (b Batch) Message(index int, conversation string) (Message, error) {
	raw, err := encoding().DecodeString(b.Unique)
	if err != nil || len(raw) != partBytes || index < 0 || index >= BatchSize || !validPart(conversation) {
		return Message{}, fmt.Errorf("message id %d of a batch: %w", index, ErrMalformed)
	}
	raw[partBytes-1] = byte(index)
	return Message{Unique: encoding().EncodeToString(raw), Conversation: conversation}, nil
}

// Message is a message's id in its two parts.
type Message struct {
	// Unique is unique within the account and sorts by time: 16 characters.
	Unique string
	// Conversation is the key of the message's conversation: 16 characters.
	Conversation string
}

// ParseMessage reads a message's id. It returns ErrMalformed for anything else.
func ParseMessage(s string) (Message, error) {
	rest, ok := strings.CutPrefix(s, MessagePrefix)
	if !ok || len(rest) != 2*partChars || !validPart(rest[:partChars]) || !validPart(rest[partChars:]) {
		return Message{}, ErrMalformed
	}
	return Message{Unique: rest[:partChars], Conversation: rest[partChars:]}, nil
}

func (m Message) String() string { return MessagePrefix + m.Unique + m.Conversation }

// ConversationID is the id of the message's conversation.
func (m Message) ConversationID() string { return ConversationPrefix + m.Conversation }

// OfBatch reports whether the message came with others in one request. It is told by the id, so that whoever has no more than that knows.
func (m Message) OfBatch() bool {
	raw, err := encoding().DecodeString(m.Unique)
	return err == nil && len(raw) == partBytes && raw[timeLength]&ofBatch != 0
}

// Time is when the id was made, to the millisecond.
func (m Message) Time() time.Time { return timeOf(m.Unique) }

// Valid reports whether s is an id of the prefix's kind, other than a message's.
func Valid(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && validPart(rest)
}

// ParseConversation gives the key in a conversation's id, or ErrMalformed.
func ParseConversation(s string) (string, error) {
	rest, ok := strings.CutPrefix(s, ConversationPrefix)
	if !ok || !validPart(rest) {
		return "", ErrMalformed
	}
	return rest, nil
}

func validPart(s string) bool {
	if len(s) != partChars {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// TimeOf is when an id of the prefix's kind was made, other than a message's; the zero time for anything else.
func TimeOf(prefix, s string) time.Time {
	if !Valid(prefix, s) {
		return time.Time{}
	}
	return timeOf(strings.TrimPrefix(s, prefix))
}

func timeOf(unique string) time.Time {
	b, err := encoding().DecodeString(unique)
	if err != nil || len(b) < 6 {
		return time.Time{}
	}
	ms := int64(0)
	for _, x := range b[:6] {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms).UTC()
}

// ConversationKeyer gives conversations their keys: an HMAC under a key of the deployment, so that a key does not
// betray the address to anyone who can guess addresses.
type ConversationKeyer struct{ secret []byte }

// NewConversationKeyer takes the deployment's secret, at least 16 bytes.
func NewConversationKeyer(secret []byte) (ConversationKeyer, error) {
	if len(secret) < 16 {
		return ConversationKeyer{}, errors.New("conversation key: the secret needs at least 16 bytes")
	}
	return ConversationKeyer{secret: secret}, nil
}

// Key is the key of the conversation of a channel with an address.
func (k ConversationKeyer) Key(accountID, channelID, address string) string {
	h := hmac.New(sha256.New, k.secret)
	for _, part := range []string{accountID, channelID, address} {
		writePart(h, part)
	}
	return encoding().EncodeToString(h.Sum(nil)[:partBytes])
}
