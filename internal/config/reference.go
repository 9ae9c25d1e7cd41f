package config

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// Reference is docs/configuration.md, made from the struct tags.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Made from the tags in ` + "`internal/config`" + ` by ` + "`make docs`" + `; edit those, not this page.

A setting may be given as a flag, in the environment, in the ` + "`.env`" + ` file or not at all: the first of
these that has it wins. Names in the environment and the file are OpenVidu's own where it has one. An
empty value counts as absent. Dotted names of old lines (` + "`openvidu.recording.path`" + `) are understood.

**Developer mode** (` + "`--dev`" + `, or no ` + "`DOMAIN_OR_PUBLIC_IP`" + `) has defaults of its own, shown in the fourth
column: loopback only, port 4443, the secret MY_SECRET with a warning, recordings and the demo page on.
With a public domain or address an empty or well-known secret is refused, and one shorter than 16
characters draws a warning. At the start the server logs the settings that are not defaults, secrets masked.
`)
	prod, dev := modeDefaults(false, false, "~"), modeDefaults(true, false, "~")
	writeGroups(&b, reflect.TypeFor[Config](), prod, dev)
	b.WriteString("\n# Settings of `kms`\n\nThe media node alone reads flags, the environment and a `kurento.conf.json` (`--kms-config`), in this\norder of authority, and no `.env` file.\n")
	writeGroups(&b, reflect.TypeFor[KMS](), kmsDefaults(), nil)
	return b.String()
}

func writeGroups(b *strings.Builder, t reflect.Type, prod, dev map[string]string) {
	head := "| flag | environment, file | default |"
	if dev != nil {
		head += " in developer mode |"
	}
	head += " meaning |\n" + strings.Repeat("|---", strings.Count(head, "|")) + "|\n"
	title := ""
	group := func(name string) {
		if name != title {
			title = name
			fmt.Fprintf(b, "\n## %s\n\n%s", name, head)
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("group"); name != "" {
			group(name)
		}
		if !f.Anonymous {
			writeRow(b, f, prod, dev)
			continue
		}
		for j := range f.Type.NumField() {
			if sub := f.Type.Field(j); sub.Tag.Get("var") != "" {
				writeRow(b, sub, prod, dev)
			}
		}
	}
}

func writeRow(b *strings.Builder, f reflect.StructField, prod, dev map[string]string) {
	cell := func(modes map[string]string) string {
		value := f.Tag.Get("default")
		if key, ok := strings.CutPrefix(value, "${"); ok {
			value = modes[strings.TrimSuffix(key, "}")]
		}
		switch {
		case value == "" && f.Type.Kind() == reflect.Bool:
			value = "false"
		case value == "":
			return "–"
		}
		return "`" + value + "`"
	}
	fmt.Fprintf(b, "| `--%s` | `%s` | %s |", flagName(f), f.Tag.Get("var"), cell(prod))
	if dev != nil {
		fmt.Fprintf(b, " %s |", cell(dev))
	}
	fmt.Fprintf(b, " %s |\n", strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(f.Tag.Get("help")))
}

// flagName is the name kong derives; a test compares it with kong's own.
func flagName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	runes := []rune(f.Name)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			wordStart := i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
			if wordStart {
				b.WriteByte('-')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
