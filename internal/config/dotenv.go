package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxDotenv bounds the file: settings are short, so a larger one is a mistake.
const maxDotenv = 1 << 20

// variables are settings by name, as the environment and the file give them.
type variables struct{ env, file map[string]string }

// lookup gives a setting. Empty means absent, as in OpenVidu's own files, where
// unused settings are left as NAME=.
func (v variables) lookup(name string) (value, origin string, ok bool) {
	if s := v.env[name]; s != "" {
		return s, "environment", true
	}
	if s := v.file[name]; s != "" {
		return s, "file", true
	}
	return "", "", false
}

// readVars collects environment and file. The file's place is itself a setting.
func readVars(in Input) (variables, error) {
	v := variables{env: environment(in.Environ)}
	path, named := v.env["DOTENV_PATH"], true
	for i, a := range in.Args {
		if s, ok := strings.CutPrefix(a, "--dotenv-path="); ok {
			path = s
		} else if a == "--dotenv-path" && i+1 < len(in.Args) {
			path = in.Args[i+1]
		}
	}
	if path == "" {
		path, named = ".", false
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path, named = filepath.Join(path, ".env"), false
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("read settings file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDotenv+1))
	if err != nil {
		return v, fmt.Errorf("read settings file %s: %w", path, err)
	}
	if len(text) > maxDotenv {
		return v, fmt.Errorf("read settings file %s: larger than 1 MiB", path)
	}
	if v.file, err = parseDotenv(string(text)); err != nil {
		return v, fmt.Errorf("read settings file %s: %w", path, err)
	}
	return v, nil
}

func environment(list []string) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		if k, val, ok := strings.Cut(kv, "="); ok {
			m[canonical(k)] = val
		}
	}
	return m
}

// canonical turns the dotted names of OpenVidu up to 2.12 (openvidu.recording.path)
// into those of later ones.
func canonical(name string) string {
	if !strings.Contains(name, ".") {
		return name
	}
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// parseDotenv reads NAME=value lines. Values may stand in single quotes (taken
// literally) or double quotes (\n, \t, \", \\, \$ are unescaped); an unquoted
// value ends before " #". Blank lines, # comments and "export " are fine. There
// is no expansion of $VARIABLES.
func parseDotenv(text string) (map[string]string, error) {
	m := map[string]string{}
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || !validName(name) {
			return nil, fmt.Errorf("line %d is not NAME=value", i+1)
		}
		value, err := unquote(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", i+1, name, err)
		}
		m[canonical(name)] = value
	}
	return m, nil
}

func validName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r != '.' && r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

func unquote(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	quote := s[0]
	if quote != '"' && quote != '\'' {
		if i := strings.Index(s, " #"); i >= 0 {
			s = s[:i]
		}
		if strings.HasPrefix(s, "#") {
			s = ""
		}
		return strings.TrimSpace(s), nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			if rest := strings.TrimSpace(s[i+1:]); rest != "" && rest[0] != '#' {
				return "", errors.New("text after the closing quote")
			}
			return b.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("the quote is not closed")
}
