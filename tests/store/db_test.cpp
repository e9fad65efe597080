#include "store/db.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace verge::store {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "verge-db-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string file() const { return (path / "sub" / "x.db").string(); }
  fs::path path;
};

constexpr const char* kOne[] = {"CREATE TABLE t (a TEXT, b INTEGER) STRICT"};
constexpr const char* kTwo[] = {"CREATE TABLE t (a TEXT, b INTEGER) STRICT", "ALTER TABLE t ADD COLUMN c TEXT"};
constexpr const char* kBroken[] = {"CREATE TABLE t (a TEXT, b INTEGER) STRICT",
                                   "ALTER TABLE t ADD COLUMN c TEXT; SELECT nonsense FROM nowhere"};

TEST(Db, OneOfANewerProgramIsNamed) {
  Folder folder;
  constexpr const char* kTwo[] = {kOne[0], "CREATE TABLE u (a TEXT) STRICT"};
  { ASSERT_TRUE(Db::open(folder.file(), kTwo)); }
  auto older = Db::open(folder.file(), kOne);
  ASSERT_FALSE(older);
  EXPECT_NE(older.error().message.find(folder.file()), std::string::npos) << older.error().message;
}

TEST(Db, KeepsWhatIsWritten) {
  Folder folder;
  std::string text("a\0b'; DROP TABLE t; --", 22);
  {
    auto db = Db::open(folder.file(), kOne);
    ASSERT_TRUE(db) << db.error().message;
    auto insert = db->prepare("INSERT INTO t VALUES (?1, ?2)");
    ASSERT_TRUE(insert);
    ASSERT_TRUE(insert->bind(1, text).bind(2, int64_t{-5}).step());
    EXPECT_EQ(db->changes(), 1);
  }
  auto db = Db::open(folder.file(), kOne);
  auto select = db->prepare("SELECT a, b, NULL FROM t");
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->text(0), text);
  EXPECT_EQ(select->number(1), -5);
  EXPECT_TRUE(select->is_null(2));
  EXPECT_FALSE(*select->step());
}

TEST(Db, FileIsForItsOwnerOnlyAndDurable) {
  Folder folder;
  auto db = Db::open(folder.file(), kOne);
  struct stat info;
  ASSERT_EQ(::stat(folder.file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((folder.path / "sub").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  auto mode = db->prepare("PRAGMA journal_mode");
  ASSERT_TRUE(*mode->step());
  EXPECT_EQ(mode->text(0), "delete");
  auto sync = db->prepare("PRAGMA synchronous");
  ASSERT_TRUE(*sync->step());
  EXPECT_EQ(sync->number(0), 2);
}

TEST(Db, MigratesAnOldFileAndKeepsItsRows) {
  Folder folder;
  ASSERT_TRUE(Db::open(folder.file(), kOne)->execute("INSERT INTO t VALUES ('old', 1)"));
  auto db = Db::open(folder.file(), kTwo);
  ASSERT_TRUE(db);
  auto select = db->prepare("SELECT a, c FROM t");
  ASSERT_TRUE(select);
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->text(0), "old");
}

TEST(Db, FailedMigrationLeavesTheFileAsItWas) {
  Folder folder;
  ASSERT_TRUE(Db::open(folder.file(), kOne));
  EXPECT_FALSE(Db::open(folder.file(), kBroken));
  auto db = Db::open(folder.file(), kOne);
  ASSERT_TRUE(db) << db.error().message;
  EXPECT_FALSE(db->prepare("SELECT c FROM t"));
}

TEST(Db, NewerFileIsRefused) {
  Folder folder;
  ASSERT_TRUE(Db::open(folder.file(), kTwo));
  auto db = Db::open(folder.file(), kOne);
  ASSERT_FALSE(db);
  EXPECT_EQ(db.error().code, Code::LoadFailed);
}

TEST(Db, DamagedFileIsAnError) {
  Folder folder;
  fs::create_directories(folder.path / "sub");
  std::ofstream(folder.file()) << std::string(8192, 'x');
  auto db = Db::open(folder.file(), kOne);
  ASSERT_FALSE(db);
  EXPECT_EQ(db.error().code, Code::LoadFailed);
}

// Both ways of opening: no file of theirs is mapped, so that one that is cut short ends nobody.
TEST(Db, FilesThatAreCutShortEndNoProcess) {
  for (const Db::Sharing sharing : {Db::Sharing::Many, Db::Sharing::Alone}) {
    Folder folder;
    auto one = Db::open(folder.file(), kOne, sharing), two = Db::open(folder.file(), kOne, sharing);
    ASSERT_TRUE(one && two);
    ASSERT_TRUE(one->execute("INSERT INTO t VALUES ('a', 1)"));
    std::ifstream maps("/proc/self/maps");
    const std::string all{std::istreambuf_iterator<char>(maps), {}};
    EXPECT_EQ(all.find(folder.path.string()), std::string::npos);
    std::vector<fs::path> beside;
    for (const auto& file : fs::directory_iterator(folder.path / "sub"))
      if (file.path() != folder.file()) beside.push_back(file.path());
    for (const fs::path& path : beside) fs::resize_file(path, 0);
    (void)two->execute("SELECT * FROM t");  // an error or a result
    (void)one->execute("INSERT INTO t VALUES ('b', 2)");
  }
}

TEST(Db, AloneMeansThatOtherProcessesFindItBusy) {
  Folder folder;
  auto db = Db::open(folder.file(), kOne, Db::Sharing::Alone);
  ASSERT_TRUE(db);
  EXPECT_TRUE(Db::open(folder.file(), kOne, Db::Sharing::Alone));
  // A fork has SQLite's view of what is locked; the kernel's is asked.
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open(folder.file().c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Db, SaysWhereItsFilesWent) {
  Folder folder;
  auto db = Db::open(folder.file(), kOne, Db::Sharing::Alone);
  ASSERT_TRUE(db->execute("INSERT INTO t VALUES ('a', 1)"));
  EXPECT_EQ(db->place(), Db::Place::Intact);
  fs::resize_file(folder.file() + "-wal", 40);
  EXPECT_EQ(db->place(), Db::Place::CutShort);
  fs::remove(folder.file() + "-wal");
  EXPECT_EQ(db->place(), Db::Place::CutShort);
  fs::rename(folder.file(), folder.file() + ".old");
  EXPECT_EQ(db->place(), Db::Place::Moved);
  std::ofstream(folder.file()) << "another";
  EXPECT_EQ(db->place(), Db::Place::Moved);
}

TEST(Db, ACopyHoldsAllThatIsCommitted) {
  Folder folder;
  auto db = Db::open(folder.file(), kOne, Db::Sharing::Alone);
  ASSERT_TRUE(db->execute("INSERT INTO t VALUES ('a', 1)"));
  fs::remove(folder.file());
  fs::remove(folder.file() + "-wal");
  ASSERT_TRUE(db->copy_to(folder.file() + ".new"));
  auto copy = Db::open(folder.file() + ".new", kOne);
  ASSERT_TRUE(copy);
  auto count = copy->prepare("SELECT COUNT(*) FROM t");
  ASSERT_TRUE(*count->step());
  EXPECT_EQ(count->number(0), 1);
}

TEST(Db, ErrorsNameTheFileAndWhatToDo) {
  Folder folder;
  fs::create_directories(folder.path / "sub");
  std::ofstream(folder.file()) << std::string(8192, 'x');
  const auto damaged = Db::open(folder.file(), kOne);
  EXPECT_NE(damaged.error().message.find("x.db"), std::string::npos);
  EXPECT_NE(damaged.error().message.find("backup"), std::string::npos);
}

TEST(Db, PlaceThatCannotBeWrittenIsAnError) { EXPECT_EQ(Db::open("/proc/nope/x.db", kOne).error().code, Code::Io); }

TEST(Db, WrongStatementIsAnError) {
  Folder folder;
  auto db = Db::open(folder.file(), kOne);
  EXPECT_FALSE(db->prepare("SELEC"));
  EXPECT_FALSE(db->execute("INSERT INTO t VALUES ('a', 'not a number')"));
}

}  // namespace
}  // namespace verge::store
