package main

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"regexp"
	"strconv"

	"contactcenter/scripts/local/internal/template"
	"contactcenter/scripts/simulator/simulators"
	"contactcenter/shared/seal"
	"contactcenter/shared/sign"
)

// secret is what CloudFormation fills in from Secrets Manager or the parameter store.
var secret = regexp.MustCompile(`\{\{resolve:[^{}]*\}\}`)

// providerSettings are the operator's settings of a provider: those of one machine, with what is set for this program.
func providerSettings(p simulators.Simulator, simURL string) map[string]string {
	out := p.Settings(simURL + "/" + p.ID)
	for name := range out {
		if set, ok := os.LookupEnv(name); ok {
			out[name] = set
		}
	}
	return out
}

// environment is what a function finds: what Lambda sets, what the template says, and where DynamoDB, SQS and the
// providers are. Keys are the variables of the keys for sealing and signing. A variable that the template names and that is set
// for this program wins.
func (s *stack) environment(f template.Function, keys map[string]string) map[string]string {
	env := map[string]string{
		"AWS_REGION": template.Region, "AWS_DEFAULT_REGION": template.Region,
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": accessKey, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_DYNAMODB": s.stores.dynamodbURL, "AWS_ENDPOINT_URL_SQS": s.stores.sqsURL,
		"AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name, "AWS_LAMBDA_LOG_STREAM_NAME": "local",
		"_HANDLER": "bootstrap", "TZ": ":UTC", "LANG": "en_US.UTF-8",
	}
	if f.JSONLogs {
		env["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
		env["AWS_LAMBDA_LOG_LEVEL"] = f.LogLevel
	}
	// Those of the Go runtime are for whoever looks into the functions.
	for _, name := range []string{"GOCOVERDIR", "GODEBUG", "GORACE", "GOTRACEBACK", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	for name, value := range f.Environment {
		env[name] = secret.ReplaceAllStringFunc(value, localSecret)
		if key, ok := keys[name]; ok {
			env[name] = key
		}
		if set, ok := os.LookupEnv(name); ok {
			env[name] = set
		}
	}
	maps.Copy(env, s.settings)
	return env
}

// localSecret stands for a secret of the deployment: always the same for the same reference, so that functions which
// share it agree.
func localSecret(reference string) string {
	sum := sha256.Sum256([]byte(reference))
	return hex.EncodeToString(sum[:])
}

// localKeys are the keys for sealing and signing on one machine, by the variable that holds them: always the same, so that what
// was stored by an earlier run opens, and what it signed verifies.
func localKeys() (map[string]string, error) {
	keys := map[string]string{}
	for _, g := range seal.Groups() {
		seed := sha256.Sum256([]byte("local/" + g))
		k, err := seal.Derive(seed[:])
		if err != nil {
			return nil, err
		}
		private, err := k.Local()
		if err != nil {
			return nil, err
		}
		keys[seal.PublicVariable(g)], keys[seal.PrivateVariable(g)] = k.Public(), private
	}
	seed := sha256.Sum256([]byte("local/" + sign.Group))
	k, err := sign.FromSeed(seed[:])
	if err != nil {
		return nil, err
	}
	keys[sign.PublicVariable], keys[sign.PrivateVariable] = k.Public().Text(), k.Local()
	return keys, nil
}
