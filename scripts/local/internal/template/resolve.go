package template

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Region and AccountID are what the pseudo parameters of the same names give on one machine.
const (
	Region    = "us-east-1"
	AccountID = "000000000000"
)

// noValue marks a property that !Ref AWS::NoValue took away.
type noValue struct{}

// Options are what a deployment decides.
type Options struct {
	// Parameters override the template's defaults. One that the template doesn't declare is an error.
	Parameters map[string]string
	// Refs say what !Ref gives for a resource, by logical id; without one it gives the resource's physical name.
	Refs map[string]string
	// Attributes say what !GetAtt gives, by "LogicalId.Attribute".
	Attributes map[string]string
}

type resolver struct {
	t       *Template
	options Options
	// open are the conditions being decided, to tell a circle from a chain.
	open []string
}

func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, argument, ok := intrinsic(v); ok {
			out, err := r.call(name, argument)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return out, nil
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			resolved, err := r.value(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if _, gone := resolved.(noValue); !gone {
				out[key] = resolved
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			resolved, err := r.value(item)
			if err != nil {
				return nil, err
			}
			if _, gone := resolved.(noValue); !gone {
				out = append(out, resolved)
			}
		}
		return out, nil
	default:
		return v, nil
	}
}

func intrinsic(m map[string]any) (name string, argument any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, argument = range m {
	}
	return name, argument, name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::")
}

func (r *resolver) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		id, _ := argument.(string)
		return r.ref(id)
	case "Fn::GetAtt":
		return r.getAtt(argument)
	case "Fn::Sub":
		return r.sub(argument)
	case "Fn::If":
		return r.choose(argument)
	case "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Condition":
		return r.holds(map[string]any{name: argument})
	case "Fn::Join":
		separator, parts, err := r.ofList(argument)
		if err != nil {
			return nil, err
		}
		return strings.Join(parts, text(separator)), nil
	case "Fn::Split":
		return r.split(argument)
	case "Fn::Select":
		index, parts, err := r.ofList(argument)
		if err != nil {
			return nil, err
		}
		i, ok := integer(index)
		if !ok || i < 0 || i >= len(parts) {
			return nil, errors.New("the index is out of range")
		}
		return parts[i], nil
	case "Fn::Base64":
		s, err := r.value(argument)
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.EncodeToString([]byte(text(s))), nil
	case "Fn::FindInMap":
		return r.findInMap(argument)
	default:
		return nil, errors.New("this intrinsic function has no meaning on one machine")
	}
}

// choose is Fn::If.
func (r *resolver) choose(argument any) (any, error) {
	args, err := arguments(argument, 3)
	if err != nil {
		return nil, err
	}
	condition, _ := args[0].(string)
	holds, err := r.condition(condition)
	if err != nil {
		return nil, err
	}
	if holds {
		return r.value(args[1])
	}
	return r.value(args[2])
}

// split is Fn::Split.
func (r *resolver) split(argument any) (any, error) {
	args, err := arguments(argument, 2)
	if err != nil {
		return nil, err
	}
	s, err := r.value(args[1])
	if err != nil {
		return nil, err
	}
	var out []any
	for part := range strings.SplitSeq(text(s), text(args[0])) {
		out = append(out, part)
	}
	return out, nil
}

// ofList gives the two arguments of a function of a list: the other one, and the list.
func (r *resolver) ofList(argument any) (other any, list []string, err error) {
	args, err := arguments(argument, 2)
	if err != nil {
		return nil, nil, err
	}
	list, err = r.list(args[1])
	return args[0], list, err
}

func arguments(v any, n int) ([]any, error) {
	list, ok := v.([]any)
	if !ok || len(list) != n {
		return nil, fmt.Errorf("expects a list of %d", n)
	}
	return list, nil
}

func (r *resolver) list(v any) ([]string, error) {
	resolved, err := r.value(v)
	if err != nil {
		return nil, err
	}
	return texts(resolved), nil
}

func (r *resolver) ref(id string) (any, error) {
	switch id {
	case "AWS::NoValue":
		return noValue{}, nil
	case "AWS::Region":
		return Region, nil
	case "AWS::AccountId":
		return AccountID, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return "local", nil
	case "AWS::StackId":
		return "arn:aws:cloudformation:" + Region + ":" + AccountID + ":stack/local/local", nil
	}
	if p, ok := section(r.t.root, "Parameters")[id].(map[string]any); ok {
		return r.parameter(id, p), nil
	}
	if ref, ok := r.options.Refs[id]; ok {
		return ref, nil
	}
	if _, ok := r.t.resources[id]; ok {
		return r.physicalName(id)
	}
	if id == implicitAPI {
		return id, nil
	}
	return nil, fmt.Errorf("%q is neither a parameter nor a resource", id)
}

// parameter gives a parameter's value: the one set, else its default, else a placeholder that names it, so that a
// secret or an URL which only a deployment knows does not keep the rest from running on one machine.
func (r *resolver) parameter(id string, p map[string]any) any {
	value, set := r.options.Parameters[id]
	fallback, hasDefault := p["Default"]
	kind, _ := p["Type"].(string)
	switch {
	case set:
	case hasDefault:
		value = text(fallback)
	case kind == "Number":
		value = "0"
	default:
		value = "local-" + id
	}
	if kind == "CommaDelimitedList" || strings.HasPrefix(kind, "List<") {
		var list []any
		for item := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(item))
		}
		return list
	}
	return value
}

// nameProperty is where a kind of resource keeps the name that an author may give it.
var nameProperty = map[string]string{
	"AWS::DynamoDB::Table":         "TableName",
	"AWS::SQS::Queue":              "QueueName",
	"AWS::Serverless::Function":    "FunctionName",
	"AWS::Serverless::SimpleTable": "TableName",
}

func (r *resolver) physicalName(id string) (string, error) {
	res := r.t.resources[id]
	property, ok := nameProperty[res.kind]
	if !ok {
		return id, nil
	}
	name, ok := res.properties[property]
	if !ok {
		return id, nil
	}
	resolved, err := r.value(name)
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", property, id, err)
	}
	if _, gone := resolved.(noValue); gone {
		return id, nil
	}
	return text(resolved), nil
}

func (r *resolver) getAtt(argument any) (any, error) {
	id, attribute, ok := strings.Cut(text(argument), ".")
	if list, isList := argument.([]any); isList && len(list) == 2 {
		id, attribute, ok = text(list[0]), text(list[1]), true
	}
	if !ok {
		return nil, errors.New("expects LogicalId.Attribute")
	}
	if v, known := r.options.Attributes[id+"."+attribute]; known {
		return v, nil
	}
	res, exists := r.t.resources[id]
	if !exists {
		return nil, fmt.Errorf("there is no resource %q", id)
	}
	name, err := r.physicalName(id)
	if err != nil {
		return nil, err
	}
	if attribute != "Arn" {
		if attribute == "QueueName" {
			return name, nil
		}
		return "local-" + id + "-" + attribute, nil
	}
	switch res.kind {
	case "AWS::SQS::Queue":
		return "arn:aws:sqs:" + Region + ":" + AccountID + ":" + name, nil
	case "AWS::Serverless::Function":
		return "arn:aws:lambda:" + Region + ":" + AccountID + ":function:" + name, nil
	case "AWS::DynamoDB::Table":
		return "arn:aws:dynamodb:" + Region + ":" + AccountID + ":table/" + name, nil
	default:
		return "arn:aws:local:" + Region + ":" + AccountID + ":" + name, nil
	}
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

func (r *resolver) sub(argument any) (any, error) {
	format, ok := argument.(string)
	variables := map[string]any{}
	if list, isList := argument.([]any); isList && len(list) == 2 {
		format, ok = list[0].(string)
		variables, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, errors.New("expects a string, or a string and a mapping")
	}
	var failed error
	out := placeholder.ReplaceAllStringFunc(format, func(match string) string {
		name := strings.TrimSpace(match[2 : len(match)-1])
		if literal, isLiteral := strings.CutPrefix(name, "!"); isLiteral {
			return "${" + literal + "}"
		}
		v, err := r.subVariable(name, variables)
		if err != nil && failed == nil {
			failed = fmt.Errorf("${%s}: %w", name, err)
		}
		return v
	})
	return out, failed
}

func (r *resolver) subVariable(name string, variables map[string]any) (string, error) {
	var resolved any
	var err error
	switch own, isOwn := variables[name]; {
	case isOwn:
		resolved, err = r.value(own)
	case strings.Contains(name, ".") && !strings.HasPrefix(name, "AWS::"):
		resolved, err = r.getAtt(name)
	default:
		resolved, err = r.ref(name)
	}
	if err != nil {
		return "", err
	}
	return text(resolved), nil
}

func (r *resolver) findInMap(argument any) (any, error) {
	args, err := arguments(argument, 3)
	if err != nil {
		return nil, err
	}
	keys, err := r.list(args)
	if err != nil {
		return nil, err
	}
	v, ok := section(section(section(r.t.root, "Mappings"), keys[0]), keys[1])[keys[2]]
	if !ok {
		return nil, fmt.Errorf("there is no %s", strings.Join(keys, "."))
	}
	return v, nil
}

func (r *resolver) condition(name string) (bool, error) {
	definition, ok := section(r.t.root, "Conditions")[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %q", name)
	}
	if slices.Contains(r.open, name) {
		return false, fmt.Errorf("condition %q depends on itself", name)
	}
	r.open = append(r.open, name)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	return r.holds(definition)
}

func (r *resolver) holds(v any) (bool, error) {
	m, _ := v.(map[string]any)
	name, argument, ok := intrinsic(m)
	if !ok {
		return text(v) == "true", nil
	}
	list, _ := argument.([]any)
	switch name {
	case "Condition":
		return r.condition(text(argument))
	case "Fn::Equals":
		sides, err := arguments(argument, 2)
		if err != nil {
			return false, err
		}
		left, err := r.value(sides[0])
		if err != nil {
			return false, err
		}
		right, err := r.value(sides[1])
		if err != nil {
			return false, err
		}
		return text(left) == text(right), nil
	case "Fn::Not":
		sides, err := arguments(argument, 1)
		if err != nil {
			return false, err
		}
		holds, err := r.holds(sides[0])
		return !holds, err
	case "Fn::And", "Fn::Or":
		for _, item := range list {
			holds, err := r.holds(item)
			if err != nil {
				return false, err
			}
			if holds == (name == "Fn::Or") {
				return holds, nil
			}
		}
		return name == "Fn::And", nil
	default:
		resolved, err := r.value(v)
		return text(resolved) == "true", err
	}
}
