package channel

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

// Items: pk channel id, sk "instruction#<instruction id>". Of the token only the SHA-256 is kept.
const (
	attrHash      = "hash"
	attrIssuedBy  = "issued_by"
	attrIssuedAt  = "issued_at"
	attrExpires   = "expires_at"
	attrUsed      = "used_at"
	attrUsedBy    = "used_by"
	attrWithdrawn = "withdrawn_at"
	attrTTL       = "ttl"

	instructionPrefix = "instruction#"

	secretBytes = 32
	// instructionKept is how long an instruction stays readable after it has expired; the audit log keeps what it led to.
	instructionKept = 30 * 24 * time.Hour
)

var (
	// ErrInstruction: the instruction does not exist, is another channel's, has expired, was used or was withdrawn. Which of
	// them it is, nobody is told who holds only the token.
	ErrInstruction = errors.New("activation instruction is not valid")
	// ErrInstructionUsed: the instruction was followed, so it can't be withdrawn any more.
	ErrInstructionUsed = errors.New("activation instruction was used")
)

// Instruction is a customer's explicit instruction to activate one channel, once, in the customer's name.
type Instruction struct {
	ID        string
	ChannelID string
	AccountID string
	// IssuedBy is the user who gave it: the subject of a customer's token.
	IssuedBy  string
	IssuedAt  time.Time
	ExpiresAt time.Time

	hash string
}

// NewToken makes the token of an instruction. It names channel and instruction, so that one read finds it, and has 256
// random bits, which are nowhere kept.
func NewToken(channelID, instructionID string, random io.Reader) (string, error) {
	var secret [secretBytes]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return channelID + "." + instructionID + "." + base64.RawURLEncoding.EncodeToString(secret[:]), nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Instruct records an instruction under its token.
func (s *Store) Instruct(ctx context.Context, i Instruction, token string, e audit.Event) error {
	it := instructionKey(i.ChannelID, i.ID)
	it[attrAccount], it[attrIssuedBy], it[attrIssuedAt] = attr.String(i.AccountID), attr.String(i.IssuedBy), attr.Time(i.IssuedAt)
	it[attrExpires], it[attrHash] = attr.Time(i.ExpiresAt), attr.String(hashOf(token))
	it[attrTTL] = attr.Int(i.ExpiresAt.Add(instructionKept).Unix())
	e.Action, e.Target, e.InstructionID = "channel.activation_instructed", i.ChannelID, i.ID
	e.After = map[string]any{"expires_at": i.ExpiresAt.UTC().Format(time.RFC3339)}
	err := s.Audit.Write(ctx, e, types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}})
	if err != nil {
		return fmt.Errorf("record instruction: %w", err)
	}
	return nil
}

// FindInstruction gives the instruction of a token that may be followed now, or ErrInstruction. Activate looks again.
func (s *Store) FindInstruction(ctx context.Context, token string, now time.Time) (Instruction, error) {
	channelID, rest, _ := strings.Cut(token, ".")
	instructionID, _, ok := strings.Cut(rest, ".")
	if !ok || channelID == "" || instructionID == "" {
		return Instruction{}, ErrInstruction
	}
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: instructionKey(channelID, instructionID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Instruction{}, fmt.Errorf("get instruction: %w", err)
	}
	it := out.Item
	i := Instruction{
		ID: instructionID, ChannelID: channelID, AccountID: attr.Text(it, attrAccount), IssuedBy: attr.Text(it, attrIssuedBy),
		IssuedAt: attr.Moment(it, attrIssuedAt), ExpiresAt: attr.Moment(it, attrExpires), hash: hashOf(token),
	}
	same := subtle.ConstantTimeCompare([]byte(i.hash), []byte(attr.Text(it, attrHash))) == 1
	if !same || it[attrUsed] != nil || it[attrWithdrawn] != nil || !now.Before(i.ExpiresAt) {
		return Instruction{}, ErrInstruction
	}
	return i, nil
}

// follow uses an instruction up, if it is still good.
func (s *Store) follow(i Instruction, at time.Time, by string) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: instructionKey(i.ChannelID, i.ID), UpdateExpression: aws.String("SET #used = :now, #by = :by"),
		ConditionExpression: aws.String("#hash = :hash AND attribute_not_exists(#used) AND attribute_not_exists(#withdrawn) AND #expires > :now"),
		ExpressionAttributeNames: map[string]string{
			"#used": attrUsed, "#by": attrUsedBy, "#hash": attrHash, "#withdrawn": attrWithdrawn, "#expires": attrExpires,
		},
		ExpressionAttributeValues: attr.Item{":now": attr.Time(at), ":by": attr.String(by), ":hash": attr.String(i.hash)},
	}}
}

// WithdrawInstruction makes an instruction worthless. One that is withdrawn already stays so. It returns ErrInstruction when
// the channel has no such instruction, and ErrInstructionUsed when it was followed.
func (s *Store) WithdrawInstruction(ctx context.Context, channelID, instructionID string, at time.Time, e audit.Event) error {
	e.Action, e.Target, e.InstructionID = "channel.activation_instruction_withdrawn", channelID, instructionID
	err := s.Audit.Write(ctx, e, types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: instructionKey(channelID, instructionID), UpdateExpression: aws.String("SET #withdrawn = :now"),
		ConditionExpression:       aws.String("attribute_exists(#pk) AND attribute_not_exists(#used) AND attribute_not_exists(#withdrawn)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#used": attrUsed, "#withdrawn": attrWithdrawn},
		ExpressionAttributeValues: attr.Item{":now": attr.Time(at)},
	}})
	refused := audit.AsRefused(err)
	switch {
	case err == nil:
		return nil
	case refused == nil:
		return fmt.Errorf("withdraw instruction: %w", err)
	case len(refused.Item) == 0:
		return ErrInstruction
	case refused.Item[attrUsed] != nil:
		return ErrInstructionUsed
	}
	return nil
}

func instructionKey(channelID, instructionID string) attr.Item {
	return attr.Item{attrPK: attr.String(channelID), attrSK: attr.String(instructionPrefix + instructionID)}
}
