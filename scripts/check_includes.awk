# Reads C++ and CUDA sources named from the repository's root; prints every include that breaks a rule of
# scripts/check_includes.sh as file:line: rule. Exits 1 when there was one.

function fail(place, rule) {
  print place ": " rule
  ++violations
}

# Which folders of the project a file of `layer` may name.
function may_include(layer, target) {
  if (layer == "app") return target ~ /^(app|parallel|io|core)\//
  if (layer == "parallel") return target ~ /^(parallel|core)\//
  if (layer == "io") return target ~ /^(io|core\/base)\//
  return target ~ /^core\//
}

function layer_rule(layer) {
  if (layer == "app") return "app includes app, parallel, io and core"
  if (layer == "parallel") return "parallel includes parallel and core"
  if (layer == "io") return "io includes io and core/base"
  return "core includes core only"
}

function must_be_free_of_aten(file) {
  return file ~ /^core\/weights\/(safetensors|config)\.[a-z]+$/ || file ~ /\.cuh?$/
}

function is_aten(target) { return target ~ /^(ATen|torch|c10)\// }

function check_library(target, file, place, layer) {
  if (target ~ /^sentencepiece/ && file !~ /^core\/text\/tokenizer\.[a-z]+$/)
    fail(place, "only core/text/tokenizer includes sentencepiece, here <" target ">")
  if (target ~ /^(spdlog|CLI)\// && layer != "app")
    fail(place, "only app includes spdlog and CLI11, here <" target ">")
  if (target ~ /^lib(av|sw)[a-z]+\// && layer != "io")
    fail(place, "only io includes libav, here <" target ">")
}

# One chain of includes from `file` to a PyTorch header, or "".
function aten_chain(file,    count, i, target, rest) {
  if (file in seen) return ""
  seen[file] = 1
  count = includes[file]
  for (i = 1; i <= count; ++i) {
    target = included[file, i]
    if (is_aten(target)) return " -> " target
    if (target in includes && (rest = aten_chain(target)) != "") return " -> " target rest
  }
  return ""
}

FNR == 1 { layer = FILENAME; sub(/\/.*/, "", layer); includes[FILENAME] += 0 }

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
  quoted = $0 ~ /include[ \t]*"/
  target = $0
  sub(/^[^"<]*["<]/, "", target)
  sub(/[">].*/, "", target)
  place = FILENAME ":" FNR
  included[FILENAME, ++includes[FILENAME]] = target
  line_of[FILENAME, includes[FILENAME]] = FNR

  ours = target ~ /^(app|parallel|io|core|tests)\//
  if (quoted && !ours)
    fail(place, "quoted includes name a file from the root, here \"" target "\"")
  else if (ours && !may_include(layer, target))
    fail(place, layer_rule(layer) ", here \"" target "\"")
  else
    check_library(target, FILENAME, place, layer)
}

END {
  for (file in includes) {
    if (!must_be_free_of_aten(file)) continue
    for (i = 1; i <= includes[file]; ++i) {
      split("", seen)
      target = included[file, i]
      chain = is_aten(target) ? "" : (target in includes ? aten_chain(target) : "none")
      if (chain == "none" || (chain == "" && !is_aten(target))) continue
      kind = file ~ /\.cuh?$/ ? "CUDA sources include" : "the parsers core/weights/safetensors and config include"
      fail(file ":" line_of[file, i], kind " no ATen, torch or c10 header, here " target chain)
    }
  }
  exit violations > 0
}
