// Which lines of the files below some directories hold a text?
//
//     search [--first N] TEXT PLACE...
//
// A pipeline: one goroutine walks the directories and sends the files, many read and search them, one prints. All are
// of one scope: if a place cannot be read the exception ends them all and comes out in main, and when there are N lines
// the printer calls the rest off.
#include <gomax.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

struct hit {
  fs::path file;
  std::size_t line;
  std::string text;
};

// The system may block the thread in these two, so the P goes to others meanwhile.
static std::string read(const fs::path &file) {
  gomax::syscall_bracket in;
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}
static bool advance(fs::recursive_directory_iterator &at) {
  gomax::syscall_bracket in;
  return ++at != fs::recursive_directory_iterator();
}

static void walk(const std::vector<fs::path> &places, const gomax::channel<fs::path> &files) {
  for (const fs::path &place : places) {
    if (fs::is_regular_file(place)) {
      files.send(place);
      continue;
    }
    fs::recursive_directory_iterator at(place);  // throws if it is not there
    if (at == fs::recursive_directory_iterator()) continue;
    do {
      if (at->is_regular_file() && !at->is_symlink()) files.send(at->path());
    } while (advance(at));
  }
  files.close();
}

static void search(const std::string &wanted, const gomax::channel<fs::path> &files, const gomax::channel<hit> &hits) {
  for (const fs::path &file : files) {
    const std::string text = read(file);
    if (std::memchr(text.data(), 0, std::min<std::size_t>(text.size(), 1024)) != nullptr) continue;  // not a text
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t end = std::min(text.find('\n', begin), text.size());
      std::string_view line = std::string_view(text).substr(begin, end - begin);
      number++;
      if (line.find(wanted) != line.npos) hits.send({file, number, std::string(line)});
      begin = end + 1;
      gomax::safepoint();  // the loop may be long, and call nothing else of the library
    }
  }
}

struct done {
  gomax::wait_group &group;
  ~done() { group.done(); }
};

int main(int argc, char **argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::size_t most = std::numeric_limits<std::size_t>::max();
  try {
    if (words.size() > 1 && words[0] == "--first") {
      most = std::stoul(words[1]);
      words.erase(words.begin(), words.begin() + 2);
    }
    if (words.size() < 2) throw std::invalid_argument("search [--first N] TEXT PLACE...");
    const std::vector<fs::path> places(words.begin() + 1, words.end());

    gomax::run([&] {
      gomax::channel<fs::path> files(64);
      gomax::channel<hit> hits(64);
      gomax::wait_group searching;
      gomax::scope all;
      all.go([&] { walk(places, files); });
      searching.add(2 * gomax::procs());  // some read while others compute
      for (int i = 0; i < 2 * gomax::procs(); i++) {
        all.go([&] {
          const done at_end{searching};  // also when it is called off in the middle
          search(words[0], files, hits);
        });
      }
      all.go([&] {
        searching.wait();
        hits.close();
      });
      all.go([&] {
        for (const hit &h : hits) {
          if (most-- == 0) return all.cancel();
          std::cout << h.file.string() << ':' << h.line << ':' << h.text << '\n';
        }
      });
      all.leave();
    });
  } catch (const std::exception &e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
