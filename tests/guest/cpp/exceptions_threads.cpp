// C++ that an --exec user brings: exceptions through frames with destructors, from threads and out of a signal-free library, thread_local, futures.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Guard {
    std::atomic<int> &count;
    explicit Guard(std::atomic<int> &c) : count(c) { ++count; }
    ~Guard() { --count; }
};

static std::atomic<int> alive;
static thread_local int mine = 5;

static int dive(int depth)
{
    Guard guard(alive);
    if (depth == 0)
        throw std::runtime_error("bottom with " + std::to_string(alive) + " guards");
    return dive(depth - 1) + 1;
}

int main()
{
    try {
        dive(100);
    } catch (const std::exception &e) {
        std::cout << e.what() << ", left " << alive << "\n";
    }
    std::vector<std::future<int>> futures;
    for (int i = 0; i < 16; i++)
        futures.push_back(std::async(std::launch::async, [i] {
            mine += i;
            if (i % 3 == 0)
                throw std::out_of_range("thread " + std::to_string(mine));
            return mine;
        }));
    for (auto &future : futures) {
        try {
            std::cout << future.get() << "\n";
        } catch (const std::out_of_range &e) {
            std::cout << e.what() << "\n";
        }
    }
    std::mutex mutex;
    std::condition_variable changed;
    int turn = 0;
    std::ostringstream order;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++)
        threads.emplace_back([&, i] {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return turn == i; });
            order << i;
            turn++;
            changed.notify_all();
        });
    for (auto &thread : threads)
        thread.join();
    std::cout << order.str() << " mine " << mine << "\n";
    try {
        std::thread none;
        none.join();
    } catch (const std::system_error &e) {
        std::cout << e.code() << "\n";
    }
    try {
        std::vector<char> huge(static_cast<size_t>(-1) / 4);
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc\n";
    }
    std::map<std::string, int> words;
    std::string text = "a kernel and a cup and a kernel";
    std::regex word("\\w+");
    for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
        words[it->str()]++;
    for (auto &[key, count] : words)
        std::cout << key << " " << count << "\n";
    try {
        std::rethrow_exception(std::make_exception_ptr(std::string("a string")));
    } catch (const std::string &s) {
        std::cout << s << "\n";
    }
    std::cout.flush();
    throw std::logic_error("uncaught");
}
